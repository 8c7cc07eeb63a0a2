// Low-rank updates against sums in f64, of ranks and outputs that fill no vector as well.
#include "kernels/low_rank.h"

#include <cmath>

#include "kernels/matrix.h"
#include "kernels/targets_testing.h"

namespace qad {
namespace {

class LowRankKernel : public PerTarget {};
QAD_PER_TARGET(LowRankKernel);

// y += 0.5 · b z, b (outputs, rank).
void ExpectAdded(const std::vector<float>& b, size_t outputs, const std::vector<float>& z,
                 const std::vector<float>& before, const std::vector<float>& y) {
  const size_t rank = z.size();
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

TEST_P(LowRankKernel, IsTheSumOfProducts) {
  for (const size_t rank : {1, 3, 4, 8, 12, 16, 64})
    for (const size_t outputs : OddSizes()) {
      const std::vector<float> b = Normals(outputs * rank, 1), z = Normals(rank, 2), before = Normals(outputs + 1, 3);
      std::vector<float> y = before;
      AddLowRank(b.data(), outputs, rank, z.data(), 0.5f, y.data());
      ExpectAdded(b, outputs, z, before, y);
    }
}

TEST_P(LowRankKernel, ColumnsInBF16GiveTheSameSum) {
  for (const size_t rank : {1, 3, 8, 64})
    for (const size_t outputs : OddSizes()) {
      const size_t stride = outputs + 3;
      std::vector<float> columns = Normals(rank * stride, 1);
      std::vector<uint16_t> rounded(columns.size());
      ConvertToBF16(columns.data(), rounded.data(), columns.size());
      ConvertFromBF16(rounded.data(), columns.data(), columns.size());
      std::vector<float> b(outputs * rank);
      for (size_t r = 0; r < outputs; ++r)
        for (size_t k = 0; k < rank; ++k) b[r * rank + k] = columns[k * stride + r];
      const std::vector<float> z = Normals(rank, 2), before = Normals(outputs + 1, 3);
      std::vector<float> y = before;
      AddLowRankColumns(rounded.data(), stride, outputs, rank, z.data(), 0.5f, y.data());
      ExpectAdded(b, outputs, z, before, y);
    }
}

}  // namespace
}  // namespace qad
