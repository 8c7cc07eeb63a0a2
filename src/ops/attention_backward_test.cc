#include "ops/attention.h"
#include "ops/attention_testing.h"

namespace qad {
namespace {

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
