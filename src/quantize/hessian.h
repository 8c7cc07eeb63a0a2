// Second moments of a linear operation's inputs, and the factor of their inverse that error feedback walks along.
// Source: Frantar et al. 2022 (GPTQ), section 3.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <vector>

#include "quantize/block_walk.h"

namespace qad {

// H = Σ x xᵀ over all rows, (width, width), both triangles. Where fast mode multiplies in bf16, of x rounded to bf16:
// still second moments, of inputs a relative 2⁻⁹ beside the true ones.
std::vector<float> GramOf(const BlockInput& input, Context& context);
// Its diagonal alone: what an importance matrix holds.
std::vector<double> SumsOfSquares(const BlockInput& input);
std::vector<double> Diagonal(std::span<const float> gram, size_t width);
// Errors (kNumeric): a second moment is NaN, infinite or beyond f32; `where` names the operation.
void RequireFiniteInputs(std::span<const double> moments, const std::string& where);

// What error feedback needs, once for all operations that read the same input.
struct Feedback {
  size_t width = 0;
  std::vector<float> gram;  // H, as the inputs lie; of dead inputs the mean on the diagonal
  std::vector<float> upper;  // U with Uᵀ U = (H + λ I)⁻¹, in `order`, row-major (width, width), zero below the diagonal
  std::vector<size_t> order;  // the input that is rounded first, second …; empty: as they lie
  double damping = 0;         // λ as it was at last, in means of the diagonal
  std::string where = {};     // names the operation in errors
};
// λ = damping · mean(diag H), ten times more as long as the factorization fails, which is said on stderr. Inputs that
// are always zero (dead) get a diagonal of one mean. `by_moment`: inputs of large moments come first. Errors
// (kNumeric): NaN or infinity, or not positive definite with λ of a whole mean; `where` names the operation.
Feedback MakeFeedback(std::vector<float> gram, size_t width, double damping, bool by_moment, const std::string& where);

}  // namespace qad
