// Low-rank updates against sums in f64, of ranks and outputs that fill no vector as well.
#include "kernels/low_rank.h"

#include <cmath>

#include "kernels/targets_testing.h"

namespace qad {
namespace {

class LowRankKernel : public PerTarget {};
QAD_PER_TARGET(LowRankKernel);

TEST_P(LowRankKernel, IsTheSumOfProducts) {
  for (const size_t rank : {1, 3, 4, 8, 12, 16, 64})
    for (const size_t outputs : OddSizes()) {
      const std::vector<float> b = Normals(outputs * rank, 1), z = Normals(rank, 2), before = Normals(outputs + 1, 3);
      std::vector<float> y = before;
      AddLowRank(b.data(), outputs, rank, z.data(), 0.5f, y.data());
      for (size_t r = 0; r < outputs; ++r) {
        double sum = 0, size = std::fabs(static_cast<double>(before[r]));
        for (size_t k = 0; k < rank; ++k) {
          const double product = 0.5 * static_cast<double>(b[r * rank + k]) * static_cast<double>(z[k]);
          sum += product;
          size += std::fabs(product);
        }
        EXPECT_NEAR(y[r], before[r] + sum, 0x1p-22 * size * std::sqrt(static_cast<double>(rank))) << rank << " " << r;
      }
      EXPECT_EQ(y[outputs], before[outputs]) << "beyond the outputs";
    }
}

}  // namespace
}  // namespace qad
