// GPTQ (Frantar et al. 2022): weights are rounded column by column, and what each rounding leaves is taken up by the
// columns that follow, so that the operation's outputs on calibration change least:
//   e_j = (w_j − q_j) / U_jj,  w_k −= e_j U_jk for k > j,  Uᵀ U = (H + λ I)⁻¹.
// Σ e² is then exactly the squared change of the outputs, (w − q)ᵀ(H + λ I)(w − q).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "formats/format.h"
#include "formats/grouped.h"
#include "quantize/hessian.h"

namespace qad {

// Whole-number codes in groups of inputs that share a scale (and a zero) of each output.
struct GroupOptions {
  int bits = 4;           // 2, 3, 4 or 8
  size_t group_size = 0;  // inputs, a divisor of 256; 0: a whole row
  bool symmetric = true;  // zero is the middle code

  int top() const { return (1 << bits) - 1; }
  size_t GroupOf(size_t width) const { return group_size == 0 ? width : group_size; }
};

// Changes of the outputs (damping included) and the outputs themselves (estimated), squared and summed over
// calibration.
struct SolveError {
  double change = 0, size = 0;
  double relative() const { return size > 0 ? change / size : 0; }
};

// Scales, zeros and codes of one run of weights, without feedback: by the least weighted squares.
struct GroupFit {
  float scale;
  int zero;
};
GroupFit FitGroup(const float* x, const float* w, size_t n, const GroupOptions& options);

// `weights` (rows, feedback.width) become what the codes stand for. Groups are fitted when their turn comes, to weights
// that have taken up errors; where the feedback has an order of its own, all before it begins, to the weights as they
// were. Errors (kNumeric): a scale beyond f16.
SolveError SolveGroups(std::span<float> weights, size_t rows, const Feedback& feedback, const GroupOptions& options,
                       GroupCodes* out);
// The same without feedback (round to nearest), each input weighted as `importance` says, or alike where it is empty.
// `where` names the matrix in errors.
void RoundGroups(std::span<float> weights, size_t rows, size_t cols, std::span<const float> importance,
                 const GroupOptions& options, GroupCodes* out, const std::string& where = "a matrix");

// Onto the blocks of a GGUF type: `out` is (rows, RowBytes). Scales are chosen as SolveGroups chooses them.
// `row_changes`, where it is not empty, takes each row's share of the change. Errors (kNumeric): a scale beyond f16.
SolveError SolveGgml(std::span<float> weights, size_t rows, const Feedback& feedback, FormatId format,
                     std::span<std::byte> out, std::span<double> row_changes = {});

// Σ over outputs of rowᵀ H row.
double QuadraticForm(std::span<const float> matrix, size_t rows, size_t cols, std::span<const float> gram);

}  // namespace qad
