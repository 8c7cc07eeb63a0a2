// LoRA adapters as llama.cpp's files have them: a GGUF of type "adapter" that holds A (r, in) and B (out, r) of every
// adapted tensor, by the names that the base has in GGUF, and one alpha. llama.cpp adds alpha / r · B (A x), r being
// the rank of the matrices (convert_lora_to_gguf.py and llama-adapter.cpp; checked by scripts/interop --all).
#pragma once

#include <filesystem>

#include "adapt/lora.h"
#include "io/peft.h"
#include "model/plan.h"

namespace qad {

// Whether an adapter's path names such a file rather than a folder.
bool IsGgufAdapter(const std::filesystem::path& path);

// Scales that alpha / r cannot say (rank-stabilized ones, patterns) go into B. Rows of q's and k's B are interleaved
// where the family's are. Written whole or not at all. Errors: kFailed.
void WriteGgufAdapter(const std::filesystem::path& path, const LoraAdapter& adapter, const Plan& base,
                      const std::string& base_name);

// In PEFT's terms, for a base of this plan. Errors (kInput): no adapter, or one of another kind; of another
// architecture; tensors that the base lacks, A without B, shapes that do not fit each other, NaN or infinity.
PeftAdapter ReadGgufAdapter(const std::filesystem::path& path, const Plan& base);

}  // namespace qad
