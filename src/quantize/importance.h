// Importance matrices: the mean square of each input of each linear operation on calibration texts, in the files that
// llama.cpp's llama-imatrix writes and its quantizer reads. Source: llama.cpp tools/imatrix (GGUF since 2025, and the
// older .dat).
#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "quantize/block_walk.h"

namespace qad {

// By the tensor's name in GGUF ("blk.0.ffn_up.weight").
using Importance = std::map<std::string, std::vector<float>>;

// From calibration samples, in fast mode or exact as the context is. Errors: kInterrupted.
Importance MeasureImportance(const ModelFiles& files, std::span<const std::vector<TokenId>> samples, Context& context,
                             bool quiet);

// Either kind of file. Errors (kInput): a file that is neither, counts of zero, values that are not finite or below
// zero; in the file and at the offset or tensor named.
Importance ReadImportance(const std::filesystem::path& path);

// The GGUF kind. `rows` is how many rows of inputs were averaged, `chunk` the most tokens of a sample, `dataset` what
// they came from.
void WriteImportance(const std::filesystem::path& path, const Importance& importance, size_t rows, size_t chunk,
                     const std::string& dataset);

}  // namespace qad
