// AWQ (Lin et al. 2023): inputs that carry large activations are scaled up before their weights are rounded, and the
// operation before them is scaled down by as much, so that the model stays what it was: Q(W·diag(s))·diag(s)⁻¹ x.
// With x̄ the root of each input's second moment (the paper takes the mean magnitude), s = x̄^α is searched over α, also
// divided by the weights' own sizes (s = x̄^α / w̄^(1−α)); the loss is what the outputs change on calibration, Σ (ΔW) H
// (ΔW)ᵀ over a sample of outputs.
#pragma once

#include <span>
#include <vector>

#include "quantize/gptq.h"

namespace qad {

// (rows, cols) of one operation that reads the input.
struct Reader {
  std::span<const float> weights;
  size_t rows = 0;
};

// Factors of the inputs, about 1. `shares[i]` names the factor that input i takes (inputs that one output of the
// operation before feeds share it); empty: each its own. All ones where nothing is better.
std::vector<float> SearchScales(std::span<const Reader> readers, size_t cols, std::span<const float> gram,
                                std::span<const size_t> shares, const GroupOptions& options);

void ScaleColumns(std::span<float> matrix, std::span<const float> factors);  // (rows, cols): column i times factor i

}  // namespace qad
