#include "ops/attention.h"

#include "base/half.h"
#include "kernels/targets_testing.h"
#include "ops/attention_testing.h"

namespace qad {
namespace {

// As stored in a layout.
float Rounded(double x, Layout layout) {
  const auto value = static_cast<float>(x);
  if (layout == Layout::kF32) return value;
  return layout == Layout::kF16 ? F16ToFloat(FloatToF16(value)) : BF16ToFloat(FloatToBF16(value));
}

// What the operation sees of a sequence: keys in a cache's order, rows with a stride of their own.
struct Placed {
  std::vector<float> q, k, v, out, lse;
  std::vector<uint16_t> k16, v16;
  AttentionItem item;

  Placed(const Sequence& s, Layout layout) {
    const size_t dim = s.shape.head_dim, width = s.shape.heads * dim, positions = s.start + s.count;
    q.resize(s.count * (width + 3));
    for (size_t t = 0; t < s.count; ++t)
      for (size_t i = 0; i < width; ++i) q[t * (width + 3) + i] = static_cast<float>(s.q[t * width + i]);
    const size_t capacity = positions + 2;  // as a cache with room left
    k.assign(s.shape.kv_heads * capacity * dim, NAN);
    v = k;
    for (size_t h = 0; h < s.shape.kv_heads; ++h)
      for (size_t p = 0; p < positions; ++p)
        for (size_t i = 0; i < dim; ++i) {
          k[(h * capacity + p) * dim + i] = static_cast<float>(s.k[(p * s.shape.kv_heads + h) * dim + i]);
          v[(h * capacity + p) * dim + i] = static_cast<float>(s.v[(p * s.shape.kv_heads + h) * dim + i]);
        }
    const auto half = [&](float x) { return layout == Layout::kF16 ? FloatToF16(x) : FloatToBF16(x); };
    for (const float x : k) k16.push_back(half(x));
    for (const float x : v) v16.push_back(half(x));
    out.assign(s.count * (width + 1), 7);
    lse.resize(s.shape.heads * s.count);
    const auto view = [&](const std::vector<float>& wide, const std::vector<uint16_t>& halves) {
      const size_t row = LayoutRowBytes(layout, dim);
      const bool whole = layout == Layout::kF32;
      return KvView{
          .data = reinterpret_cast<const std::byte*>(whole ? static_cast<const void*>(wide.data()) : halves.data()),
          .layout = layout,
          .head_stride = capacity * row,
          .row_stride = row};
    };
    item = {.q = q.data(),
            .ldq = width + 3,
            .count = s.count,
            .start = s.start,
            .k = view(k, k16),
            .v = view(v, v16),
            .out = out.data(),
            .ldo = width + 1,
            .log_sum_exp = lse.data(),
            .both_ways = s.both_ways};
  }
};

std::vector<float> WithStride(const Doubles& values, size_t width) {
  std::vector<float> rows;
  for (size_t i = 0; i < values.size(); ++i) {
    rows.push_back(static_cast<float>(values[i]));
    if ((i + 1) % width == 0) rows.push_back(7);
  }
  return rows;
}

TEST(Attention, ForwardEqualsTheReference) {
  for (const AttentionShape& shape : kShapes) {
    for (const Layout layout : {Layout::kF32, Layout::kF16, Layout::kBF16}) {
      std::vector<Sequence> sequences;
      uint64_t stream = 0;
      for (const size_t start : {0, 1, 7, 100})
        for (const size_t count : {1, 2, 3, 8, 31, 32, 33, 70}) sequences.emplace_back(shape, start, count, ++stream);
      // Few rows, whose context is cut into pieces of 128; some rows of a tile may see nothing of the last one.
      for (const size_t start : {126, 127, 128, 254, 300})
        for (const size_t count : {1, 3, 5}) sequences.emplace_back(shape, start, count, ++stream);
      for (const size_t count : {1, 2, 5, 16, 17, 33, 130}) sequences.emplace_back(shape, 0, count, ++stream, true);
      for (Sequence& s : sequences)
        for (Doubles* values : {&s.k, &s.v})
          for (double& x : *values) x = static_cast<double>(Rounded(x, layout));
      std::vector<std::vector<float>> first;
      for (const int threads : {1, 2, 3}) {
        Context context(Numerics::kExact, threads);
        std::vector<Placed> placed;
        std::vector<AttentionItem> items;
        for (const Sequence& s : sequences) items.push_back(placed.emplace_back(s, layout).item);
        AttentionForward(context, shape, items);
        for (size_t i = 0; i < sequences.size(); ++i) {
          const size_t width = shape.heads * shape.head_dim;
          // Scores reach 10; their rounding of some 10·√dim/2 eps is the relative error of e^score and of the mixture.
          EXPECT_TRUE(AllClose(placed[i].out, WithStride(sequences[i].Attend(), width), 2e-5))
              << i << " " << shape.heads << " " << LayoutName(layout);
          if (first.size() <= i) first.push_back(placed[i].out);
          EXPECT_EQ(placed[i].out, first[i]) << threads << " threads";
        }
      }
    }
  }
}

// What rounding queries, keys, values and probabilities to bf16 (2^-9 each) can do to the outputs: a score moves by
// less than d = 2^-8 Σ|q k|·scale (not at all, where they are fine), a probability by the factor e^(2d), and the
// mixture is rounded twice more.
Doubles RoundingBounds(const Sequence& s) {
  const size_t dim = s.shape.head_dim, width = s.shape.heads * dim, kv_width = s.shape.kv_heads * dim;
  Sequence sizes = s;
  for (double& v : sizes.v) v = std::fabs(v);
  Doubles bounds = sizes.Attend();
  for (size_t t = 0; t < s.count; ++t)
    for (size_t h = 0; h < s.shape.heads; ++h) {
      double most = 0;
      for (size_t j = 0; j < s.Visible(t) && !s.shape.fine_scores; ++j) {
        double size = 0;
        for (size_t i = 0; i < dim; ++i)
          size += std::fabs(s.q[t * width + h * dim + i] * s.k[j * kv_width + h / s.shape.group() * dim + i]);
        most = std::max(most, 0x1p-8 * size / std::sqrt(static_cast<double>(dim)));
      }
      for (size_t i = 0; i < dim; ++i) bounds[t * width + h * dim + i] *= std::exp(2 * most) * (1 + 0x1p-7) - 1;
    }
  return bounds;
}

TEST(Attention, FastModeKeepsTheBoundOfItsRounding) {
  for (const auto& [layout, fine] :
       {std::pair{Layout::kF32, false}, {Layout::kF16, false}, {Layout::kF32, true}, {Layout::kF16, true}})
    for (AttentionShape shape : kShapes) {
      shape.fine_scores = fine;
      Context context(Numerics::kFast, 2);
      std::vector<Sequence> sequences;
      uint64_t stream = 0;
      for (const size_t start : {0, 7, 250, 600})
        for (const size_t count : {1, 3, 31, 32, 33, 70, 300}) sequences.emplace_back(shape, start, count, ++stream);
      for (const size_t count : {1, 5, 33, 300}) sequences.emplace_back(shape, 0, count, ++stream, true);
      std::vector<Placed> placed;
      std::vector<AttentionItem> items;
      for (const Sequence& s : sequences) {
        items.push_back(placed.emplace_back(s, layout).item);
        items.back().log_sum_exp = nullptr;
      }
      AttentionForward(context, shape, items);
      const size_t width = shape.heads * shape.head_dim;
      for (size_t i = 0; i < sequences.size(); ++i) {
        const Doubles want = sequences[i].Attend(), bounds = RoundingBounds(sequences[i]);
        for (size_t t = 0; t < sequences[i].count; ++t)
          for (size_t c = 0; c < width; ++c) {
            const double got = static_cast<double>(placed[i].out[t * (width + 1) + c]);
            ASSERT_TRUE(std::fabs(got - want[t * width + c]) <= bounds[t * width + c] + 1e-5)
                << i << " at " << t << " " << c << " got " << got << " want " << want[t * width + c];
          }
        const size_t count = sequences[i].count;
        EXPECT_EQ(placed[i].out[(count - 1) * (width + 1) + width], 7) << "written between rows";
      }
    }
}

// One key that outweighs all others, at the borders of the pieces that a context is cut into: its value is the answer.
TEST(Attention, FastModeSeesEveryKey) {
  const AttentionShape shape{1, 1, 16};
  constexpr size_t kPositions = 600;
  Context context(Numerics::kFast, 2);
  for (const size_t key : {0, 15, 16, 255, 256, 257, 511, 512, 599}) {
    Sequence s(shape, 0, kPositions, key + 1);
    for (double& x : s.q) x = 1;
    for (size_t p = 0; p < kPositions; ++p)
      for (size_t i = 0; i < 16; ++i) s.k[p * 16 + i] = p == key ? 8 : 0;  // a score of 32, the others 0
    Placed placed(s, Layout::kF16);
    placed.item.log_sum_exp = nullptr;
    AttentionForward(context, shape, {&placed.item, 1});
    for (size_t t = key; t < kPositions; ++t)
      for (size_t i = 0; i < 16; ++i)
        ASSERT_NEAR(static_cast<double>(placed.out[t * 17 + i]), s.v[key * 16 + i],
                    (0x1p-8 + 0x1p-11) * std::fabs(s.v[key * 16 + i]) + 1e-6)  // bf16 of f16
            << "key " << key << " at " << t;
  }
}

// An item's result must not depend on who else is in the batch.
TEST(Attention, ItemsDoNotFeelEachOther) {
  const AttentionShape shape{4, 2, 16};
  const Sequence a(shape, 0, 40, 1), b(shape, 9, 1, 2);
  for (const Numerics numerics : {Numerics::kExact, Numerics::kFast}) {
    Context context(numerics, 2);
    Placed alone_a(a, Layout::kF16), alone_b(b, Layout::kF16), both_a(a, Layout::kF16), both_b(b, Layout::kF16);
    for (Placed* placed : {&alone_a, &alone_b, &both_a, &both_b}) placed->item.log_sum_exp = nullptr;
    AttentionForward(context, shape, {&alone_a.item, 1});
    AttentionForward(context, shape, {&alone_b.item, 1});
    const AttentionItem items[] = {both_b.item, both_a.item};
    AttentionForward(context, shape, items);
    EXPECT_EQ(both_a.out, alone_a.out);
    EXPECT_EQ(both_b.out, alone_b.out);
  }
}

}  // namespace
}  // namespace qad
