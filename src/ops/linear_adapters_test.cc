// Adapters beside the weights: few rows, high ranks, copies in bf16, dropout.
#include "base/half.h"
#include "base/testing.h"
#include "ops/linear_testing.h"

namespace qad {
namespace {

// Few rows, and yet products that every library would share out among its threads.
TEST(Linear, AdaptersOfHighRankAreEqualForAnyThreads) {
  constexpr size_t kIn = 1536, kRank = 64;
  for (const size_t m : {1, 5, 8}) {
    std::vector<float> first, first_dx, first_da, first_db;
    const auto x = Normals(m * kIn, m);
    for (const int threads : {1, 2, 3}) {
      Layer layer({Layout::kF32}, kIn, 600, false, true, kRank);
      const auto dy = Normals(m * layer.linear.out, 2);
      Context context(Numerics::kExact, threads);
      std::vector<float> tape, dx(m * kIn);
      const auto y = RunForward(context, layer, x, m, false, {}, &tape);
      LinearBackward(context, layer.linear, x.data(), kIn, tape.data(), dy.data(), m, layer.linear.out, dx.data(), kIn,
                     {});
      if (first.empty()) first = y, first_dx = dx, first_da = layer.da[0], first_db = layer.db[0];
      EXPECT_EQ(y, first) << threads << " threads, " << m << " rows";
      EXPECT_EQ(dx, first_dx) << threads << " threads, " << m << " rows";
      EXPECT_EQ(layer.da[0], first_da) << threads << " threads, " << m << " rows";
      EXPECT_EQ(layer.db[0], first_db) << threads << " threads, " << m << " rows";
    }
  }
}

// Few rows are multiplied by an adapter's copies in bf16 where it has them; exact mode never reads these.
TEST(Linear, FewRowsReadRoundedAdapters) {
  constexpr size_t kIn = 96, kRank = 8;
  Layer layer({Layout::kF32, Layout::kQ8_0}, kIn, 300, true, true, kRank);
  LowRank& adapter = layer.linear.adapters[0];
  std::vector<uint16_t> a(layer.a[0].size()), b(layer.b[0].size());
  for (auto* rounds : {&layer.a[0], &layer.b[0]})
    for (float& value : *rounds) value = BF16ToFloat(FloatToBF16(value));
  ConvertToBF16(layer.a[0].data(), a.data(), a.size());
  for (size_t o = 0; o < adapter.outputs; ++o)
    for (size_t k = 0; k < kRank; ++k) b[k * adapter.outputs + o] = FloatToBF16(layer.b[0][o * kRank + k]);
  for (const size_t m : {1, 5, 8}) {
    const auto x = Normals(m * kIn, m);
    std::vector<float> tape, first;
    for (const Numerics numerics : {Numerics::kFast, Numerics::kExact})
      for (const int threads : {1, 2, 3}) {
        Context context(numerics, threads);
        adapter.rounded = {};
        const auto want = RunForward(context, layer, x, m, true, {}, &tape);
        adapter.rounded = {a.data(), b.data()};
        const auto got = RunForward(context, layer, x, m, true, {}, &tape);
        EXPECT_TRUE(AllClose(got, want, 1e-4)) << m << " rows";  // sums of 96 and of 8 products of normals, in f32
        if (threads == 1) first = got;
        EXPECT_EQ(got, first) << threads << " threads";
      }
    const std::vector<uint16_t> none(std::max(a.size(), b.size()), 0x7fc0);  // NaN
    adapter.rounded = {none.data(), none.data()};
    Context exact(Numerics::kExact, 2), fast(Numerics::kFast, 2);
    EXPECT_EQ(RunForward(exact, layer, x, m, true, {}, &tape), first);
    EXPECT_TRUE(std::isnan(RunForward(fast, layer, x, m, true, {}, &tape).front()));
  }
}

// Dropout keeps the mean: over many elements 1 − p of them stay, each grown by 1/(1 − p).
TEST(Linear, DropoutDropsItsShare) {
  constexpr size_t kIn = 100000;
  const std::vector<float> weights(kIn), x(kIn, 1.0f), a(kIn, 1.0f), b(1, 1.0f);
  const Linear linear{.in = kIn,
                      .out = 1,
                      .parts = {{.layout = Layout::kF32,
                                 .rows = 1,
                                 .cols = kIn,
                                 .codes = reinterpret_cast<const std::byte*>(weights.data()),
                                 .stride_bytes = kIn * 4}},
                      .biases = {nullptr},
                      .adapters = {{.first = 0, .outputs = 1, .rank = 1, .scale = 1, .a = a.data(), .b = b.data()}}};
  Context context(Numerics::kExact);
  float y = 0;
  LinearForward(context, linear, x.data(), 1, kIn, &y, 1, false, {.p = 0.25f, .seed = 3, .stream = 0});
  // A binomial of 100,000 trials: the mean's deviation is √(0.25/0.75/100000) = 0.0018; five of them.
  EXPECT_NEAR(static_cast<double>(y) / kIn, 1, 0.01);
  EXPECT_NE(y, static_cast<float>(kIn));
}

}  // namespace
}  // namespace qad
