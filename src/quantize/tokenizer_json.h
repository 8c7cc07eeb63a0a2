// A GGUF's vocabulary as Hugging Face's tokenizer.json and tokenizer_config.json: the same ids, merges, special tokens
// and pre-tokenizer, so that a folder made from a GGUF stands alone and other programs can read it too.
#pragma once

#include "base/json.h"
#include "io/gguf.h"

namespace qad {

// Errors (kInput): a vocabulary model or pre-tokenizer that this version does not know.
Json TokenizerJson(const GgufFile& file);
Json TokenizerConfigJson(const GgufFile& file);

}  // namespace qad
