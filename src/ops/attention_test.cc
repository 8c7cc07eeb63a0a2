#include "ops/attention.h"

#include "base/half.h"
#include "base/testing.h"
#include "kernels/targets_testing.h"

namespace qad {
namespace {

using Doubles = std::vector<double>;

// One sequence: `start` remembered positions and `count` new ones, each of which sees those before it, or all.
struct Sequence {
  AttentionShape shape;
  size_t start, count;
  bool both_ways;
  Doubles q, k, v;  // (count, heads·dim), (start + count, kv_heads·dim)

  Sequence(const AttentionShape& s, size_t from, size_t n, uint64_t stream, bool all = false)
      : shape(s), start(from), count(n), both_ways(all) {
    const auto fill = [&](size_t size, uint64_t which, double deviation) {
      const auto values = Normals(size, stream * 3 + which, deviation);
      return Doubles(values.begin(), values.end());
    };
    q = fill(count * shape.heads * shape.head_dim, 0, 2);
    k = fill((start + count) * shape.kv_heads * shape.head_dim, 1, 1);
    v = fill(k.size(), 2, 1);
  }

  size_t Visible(size_t t) const { return both_ways ? start + count : start + t + 1; }

  // (count, heads·dim)
  Doubles Attend() const {
    const size_t dim = shape.head_dim, width = shape.heads * dim, kv_width = shape.kv_heads * dim;
    Doubles out(count * width);
    for (size_t t = 0; t < count; ++t)
      for (size_t h = 0; h < shape.heads; ++h) {
        const size_t kv = h / shape.group() * dim, visible = Visible(t);
        Doubles p(visible);
        double top = -1e300, sum = 0;
        for (size_t j = 0; j < visible; ++j) {
          for (size_t i = 0; i < dim; ++i) p[j] += q[t * width + h * dim + i] * k[j * kv_width + kv + i];
          p[j] /= std::sqrt(static_cast<double>(dim));
          top = std::max(top, p[j]);
        }
        for (double& x : p) sum += x = std::exp(x - top);
        for (size_t j = 0; j < visible; ++j)
          for (size_t i = 0; i < dim; ++i) out[t * width + h * dim + i] += p[j] / sum * v[j * kv_width + kv + i];
      }
    return out;
  }
};

constexpr AttentionShape kShapes[] = {{1, 1, 1}, {2, 2, 5}, {3, 1, 64}, {4, 2, 16}, {9, 3, 8}, {2, 1, 33}};

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

// Training's layout: keys and values beside the queries in rows of q | k | v, from position `start` on.
struct Packed {
  size_t width, q_width, kv_width;
  std::vector<float> rows, out, lse, d_out, d_rows;
  AttentionItem item;
  AttentionGradients gradients;

  Packed(const Sequence& s, uint64_t stream) {
    q_width = s.shape.heads * s.shape.head_dim;
    kv_width = s.shape.kv_heads * s.shape.head_dim;
    width = q_width + 2 * kv_width;
    rows.resize(s.count * width);
    for (size_t t = 0; t < s.count; ++t) {
      for (size_t i = 0; i < q_width; ++i) rows[t * width + i] = static_cast<float>(s.q[t * q_width + i]);
      for (size_t i = 0; i < kv_width; ++i) {
        rows[t * width + q_width + i] = static_cast<float>(s.k[(s.start + t) * kv_width + i]);
        rows[t * width + q_width + kv_width + i] = static_cast<float>(s.v[(s.start + t) * kv_width + i]);
      }
    }
    out.resize(s.count * q_width);
    lse.resize(s.count * s.shape.heads);
    d_out = Normals(out.size(), 1000 + stream);
    d_rows.assign(rows.size(), NAN);  // overwritten, the contract says
    item = {.q = rows.data(),
            .ldq = width,
            .count = s.count,
            .start = s.start,
            .k = KvView::Packed(rows.data() + q_width, s.shape.head_dim, width),
            .v = KvView::Packed(rows.data() + q_width + kv_width, s.shape.head_dim, width),
            .out = out.data(),
            .ldo = q_width,
            .log_sum_exp = lse.data()};
    gradients = {.d_out = d_out.data(),
                 .ld_out = q_width,
                 .dq = d_rows.data(),
                 .dk = d_rows.data() + q_width,
                 .dv = d_rows.data() + q_width + kv_width,
                 .ld_gradient = width};
  }
};

double Weighted(const Sequence& s, const std::vector<float>& weights) {
  const Doubles out = s.Attend();
  double sum = 0;
  for (size_t i = 0; i < out.size(); ++i) sum += out[i] * static_cast<double>(weights[i]);
  return sum;
}

// Slope of Σ d_out·out by central differences in double, every element for short sequences.
Doubles Slopes(const Sequence& sequence, Doubles Sequence::*which, const std::vector<float>& weights) {
  Sequence s = sequence;
  constexpr double kStep = 1e-5;
  Doubles slopes;
  for (double& x : s.*which) {
    const double kept = x;
    x = kept + kStep;
    const double above = Weighted(s, weights);
    x = kept - kStep;
    slopes.push_back((above - Weighted(s, weights)) / (2 * kStep));
    x = kept;
  }
  return slopes;
}

TEST(Attention, BackwardIsTheSlopeOfForward) {
  uint64_t stream = 0;
  for (const AttentionShape& shape : kShapes) {
    for (const size_t count : {1, 2, 5}) {
      const Sequence s(shape, 0, count, ++stream);
      Packed packed(s, stream);
      Context context(Numerics::kExact, 2);
      AttentionForward(context, shape, {&packed.item, 1});
      AttentionBackward(context, shape, {&packed.item, 1}, {&packed.gradients, 1});
      const auto columns = [&](size_t first, size_t width) {
        std::vector<float> part;
        for (size_t t = 0; t < count; ++t)
          part.insert(part.end(), packed.d_rows.begin() + static_cast<std::ptrdiff_t>(t * packed.width + first),
                      packed.d_rows.begin() + static_cast<std::ptrdiff_t>(t * packed.width + first + width));
        return part;
      };
      const auto check = [&](Doubles Sequence::*which, const std::vector<float>& got) {
        const Doubles want = Slopes(s, which, packed.d_out);
        // f32 rounding of products of values up to 10, summed over dim and positions.
        EXPECT_TRUE(AllClose(got, std::vector<float>(want.begin(), want.end()), 5e-5)) << shape.heads << " " << count;
      };
      check(&Sequence::q, columns(0, packed.q_width));
      check(&Sequence::k, columns(packed.q_width, packed.kv_width));
      check(&Sequence::v, columns(packed.q_width + packed.kv_width, packed.kv_width));
    }
  }
}

// Long sequences cross tiles: one direction of everything at once, several items, and equal bits for any threads.
TEST(Attention, BackwardAcrossTiles) {
  uint64_t stream = 100;
  for (const AttentionShape& shape : kShapes) {
    std::vector<Sequence> sequences;
    for (const size_t count : {31, 32, 33, 70}) sequences.emplace_back(shape, 0, count, ++stream);
    std::vector<std::vector<float>> first;
    for (const int threads : {1, 2, 3}) {
      Context context(Numerics::kExact, threads);
      std::vector<Packed> packed;
      packed.reserve(sequences.size());
      std::vector<AttentionItem> items;
      std::vector<AttentionGradients> gradients;
      for (const Sequence& s : sequences) {
        packed.emplace_back(s, stream);
        items.push_back(packed.back().item);
        gradients.push_back(packed.back().gradients);
      }
      AttentionForward(context, shape, items);
      AttentionBackward(context, shape, items, gradients);
      for (size_t i = 0; i < sequences.size(); ++i) {
        if (first.size() <= i) first.push_back(packed[i].d_rows);
        EXPECT_EQ(packed[i].d_rows, first[i]) << threads << " threads";
        const Packed& p = packed[i];
        Sequence above = sequences[i], below = sequences[i];
        Random random(9, i);
        double slope = 0;
        constexpr double kStep = 1e-6;
        for (size_t t = 0; t < above.count; ++t)
          for (size_t column = 0; column < p.width; ++column) {
            const double sign = random.Below(2) == 0 ? 1 : -1;
            slope += sign * static_cast<double>(p.d_rows[t * p.width + column]);
            const auto at = [&](Sequence& s) -> double& {
              if (column < p.q_width) return s.q[t * p.q_width + column];
              const size_t kv = (column - p.q_width) % p.kv_width;
              return (column < p.q_width + p.kv_width ? s.k : s.v)[t * p.kv_width + kv];
            };
            at(above) += kStep * sign;
            at(below) -= kStep * sign;
          }
        const double want = (Weighted(above, p.d_out) - Weighted(below, p.d_out)) / (2 * kStep);
        // A sum over thousands of gradients, each good to 1e-6.
        EXPECT_TRUE(std::fabs(slope - want) <= 1e-3 * (1 + std::fabs(want))) << slope << " " << want;
      }
    }
  }
}

// Sequences behind one prefix: outputs as if each had it to itself, and the prefix's gradient is the sum of theirs.
TEST(Attention, BehindASharedPrefix) {
  uint64_t stream = 200;
  for (const AttentionShape& shape : kShapes) {
    for (const size_t prefix : {1, 40, 150}) {
      const size_t kv_width = shape.kv_heads * shape.head_dim, q_width = shape.heads * shape.head_dim;
      std::vector<Sequence> family = {Sequence(shape, 0, prefix, ++stream)};
      for (const size_t count : {1, 3, 33}) {
        Sequence& child = family.emplace_back(shape, prefix, count, ++stream);
        std::copy(family[0].k.begin(), family[0].k.end(), child.k.begin());
        std::copy(family[0].v.begin(), family[0].v.end(), child.v.begin());
      }
      std::vector<std::vector<float>> first;
      for (const int threads : {1, 2, 3}) {
        Context context(Numerics::kFast, threads);  // training's attention is f32 there, too
        std::vector<Packed> packed;
        packed.reserve(family.size());
        std::vector<AttentionItem> items;
        std::vector<AttentionGradients> gradients;
        for (const Sequence& s : family) {
          packed.emplace_back(s, stream);
          items.push_back(packed.back().item);
          items.back().prefix = s.start > 0 ? 0 : AttentionItem::kNoPrefix;
          gradients.push_back(packed.back().gradients);
        }
        AttentionForward(context, shape, items);
        AttentionBackward(context, shape, items, gradients);
        if (first.empty())
          for (const Packed& p : packed) first.push_back(p.d_rows);
        for (size_t i = 0; i < family.size(); ++i) {
          const Doubles want = family[i].Attend();
          EXPECT_TRUE(AllClose(packed[i].out, std::vector<float>(want.begin(), want.end()), 1e-5)) << prefix;
          EXPECT_EQ(packed[i].d_rows, first[i]) << threads << " threads";
        }
        // One direction of everything at once, as above.
        std::vector<Sequence> above = family, below = family;
        Random random(9, stream);
        double slope = 0, want = 0;
        constexpr double kStep = 1e-6;
        for (size_t i = 0; i < family.size(); ++i)
          for (size_t t = 0; t < family[i].count; ++t)
            for (size_t column = 0; column < packed[i].width; ++column) {
              const double step = random.Below(2) == 0 ? kStep : -kStep;
              slope += step / kStep * static_cast<double>(packed[i].d_rows[t * packed[i].width + column]);
              const bool of_query = column < q_width, of_key = column < q_width + kv_width;
              const auto move = [&](Sequence& s, size_t position, double by) {
                if (of_query)
                  s.q[position * q_width + column] += by;
                else
                  (of_key ? s.k : s.v)[position * kv_width + (column - q_width) % kv_width] += by;
              };
              const size_t position = t + (of_query ? 0 : family[i].start);
              for (size_t k = i; k < (i == 0 && !of_query ? family.size() : i + 1); ++k) {
                move(above[k], position, step);
                move(below[k], position, -step);
              }
            }
        for (size_t i = 0; i < family.size(); ++i)
          want += (Weighted(above[i], packed[i].d_out) - Weighted(below[i], packed[i].d_out)) / (2 * kStep);
        EXPECT_TRUE(std::fabs(slope - want) <= 1e-3 * (1 + std::fabs(want))) << slope << " " << want;
      }
    }
  }
}

}  // namespace
}  // namespace qad
