// Adapters from file to file: into the weights of their base, and from one format into the other.
#pragma once

#include <filesystem>

#include "quantize/merged_model.h"

namespace qad {

// In both `model` is a folder or a .gguf file, `adapter` a PEFT folder or a GGUF file of llama.cpp's.

struct Merged {
  QuantizeReport report;
  size_t modules = 0;
};

// Errors: as LoraAdapter, MergeAdapter.
Merged MergeAdapterFiles(const std::filesystem::path& model, const std::filesystem::path& adapter,
                         const std::filesystem::path& output, const MergeOptions& options);

struct Converted {
  size_t modules = 0, parameters = 0;
};

// Into a GGUF file where `output` ends in .gguf, else into a PEFT folder. Errors: as LoraAdapter, WriteGgufAdapter.
Converted ConvertAdapterFiles(const std::filesystem::path& model, const std::filesystem::path& adapter,
                              const std::filesystem::path& output);

}  // namespace qad
