// What a GGUF file says beside its tensors: the keys of the file it is made from, or those that llama.cpp's converter
// would write for a Hugging Face folder.
#pragma once

#include "io/gguf_writer.h"
#include "io/model_files.h"
#include "model/config.h"

namespace qad {

// Architecture, sizes and vocabulary; not the file type. Errors (kInput): a folder whose tokenizer this version does
// not know (without one there is no vocabulary), settings that GGUF cannot say here.
GgufMetadata MetadataFor(const ModelFiles& files, const ModelConfig& config);

}  // namespace qad
