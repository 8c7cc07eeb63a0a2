#include "model/kv_cache.h"

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "kernels/targets_testing.h"
#include "model/footprint.h"
#include "model/tiny_model.h"

namespace qad {
namespace {

constexpr FormatId kTypes[] = {FormatId::kF32, FormatId::kF16, FormatId::kBF16, FormatId::kQ8_0, FormatId::kQ4_0};

// Two layers of two heads for three queries each.
ModelConfig ConfigWithHeads(size_t head_dim) {
  ModelConfig config = tiny::Config(tiny::kLlama);
  config.layers = 2;
  config.heads = 6;
  config.kv_heads = 2;
  config.head_dim = head_dim;
  return config;
}

MatrixView Rows(const KvView& view, size_t head, size_t count, size_t dim) {
  return {.layout = view.layout,
          .rows = count,
          .cols = dim,
          .codes = view.data + head * view.head_stride,
          .stride_bytes = view.row_stride};
}

// A cache of `type` and one in f32 that holds what the first decodes to.
struct Twins {
  static constexpr size_t kSlots = 2, kPositions = 300;
  ModelConfig config = ConfigWithHeads(64);
  KvCache cache, decoded;

  explicit Twins(FormatId type)
      : cache(config, kSlots, kPositions, type), decoded(config, kSlots, kPositions, FormatId::kF32) {
    const size_t width = config.kv_heads * config.head_dim;
    const Format& format = GetFormat(type);
    std::vector<std::byte> stored(format.RowBytes(width));
    std::vector<float> k(width), v(width);
    for (size_t layer = 0; layer < config.layers; ++layer)
      for (size_t slot = 0; slot < kSlots; ++slot)
        for (size_t p = 0; p < kPositions; ++p) {
          const auto values = Normals(2 * width, 1 + (layer * kSlots + slot) * kPositions + p, 2);
          cache.Write(layer, slot, p, values.data(), values.data() + width);
          for (float* out : {k.data(), v.data()}) {
            format.encode_row(values.data() + (out == v.data() ? width : 0), stored.data(), width);
            format.decode_row(stored.data(), out, width);
          }
          decoded.Write(layer, slot, p, k.data(), v.data());
        }
  }
};

TEST(KvCache, BytesAreWhatIsAllocated) {
  const ModelConfig config = ConfigWithHeads(64);
  const size_t rows = 2 * 3 * 2 * 2 * 17;  // layers · slots · (k, v) · kv_heads · positions
  for (const auto& [type, bytes] : {std::pair{FormatId::kF32, 256u},
                                    {FormatId::kF16, 128u},
                                    {FormatId::kBF16, 128u},
                                    {FormatId::kQ8_0, 68u},
                                    {FormatId::kQ4_0, 36u}}) {
    const KvCache cache(config, 3, 17, type);
    EXPECT_EQ(cache.allocated_bytes(), rows * bytes);
    EXPECT_EQ(cache.allocated_bytes(), KvCache::Bytes(config, 3, 17, type));
  }
}

TEST(KvCache, RowsAreWhatTheFormatDecodes) {
  for (const FormatId type : kTypes) {
    const Twins twins(type);
    const size_t dim = twins.config.head_dim;
    std::vector<float> got(dim), want(dim);
    for (size_t layer = 0; layer < twins.config.layers; ++layer)
      for (size_t head = 0; head < twins.config.kv_heads; ++head)
        for (size_t p = 0; p < Twins::kPositions; p += 7)
          for (const bool keys : {true, false}) {
            const auto view = [&](const KvCache& cache) {
              return Rows(keys ? cache.Keys(layer, 1) : cache.Values(layer, 1), head, Twins::kPositions, dim);
            };
            DecodeRow(view(twins.cache), p, got.data());
            DecodeRow(view(twins.decoded), p, want.data());
            ASSERT_EQ(got, want) << GetFormat(type).name << " at " << p;
          }
  }
}

// One position (its context in pieces), and a tile of them.
TEST(KvCache, AttentionReadsEveryType) {
  for (const auto& [numerics, fine] :
       {std::pair{Numerics::kExact, false}, {Numerics::kFast, false}, {Numerics::kFast, true}})
    for (const FormatId type : kTypes) {
      const Twins twins(type);
      const AttentionShape shape{twins.config.heads, twins.config.kv_heads, twins.config.head_dim, fine};
      const size_t width = shape.heads * shape.head_dim;
      for (const size_t count : {1, 40}) {
        Context context(numerics, 2);
        const auto q = Normals(count * width, 9);
        const auto attend = [&](const KvCache& cache) {
          std::vector<float> out(count * width);
          const AttentionItem item{.q = q.data(),
                                   .ldq = width,
                                   .count = count,
                                   .start = Twins::kPositions - count,
                                   .k = cache.Keys(1, 0),
                                   .v = cache.Values(1, 0),
                                   .out = out.data(),
                                   .ldo = width,
                                   .log_sum_exp = nullptr};
          AttentionForward(context, shape, {&item, 1});
          return out;
        };
        EXPECT_EQ(attend(twins.cache), attend(twins.decoded)) << GetFormat(type).name << " " << count;
      }
    }
}

TEST(KvCache, APrefixIsCopiedToAnotherSlot) {
  for (const FormatId type : kTypes) {
    Twins twins(type);
    twins.cache.CopyPrefix(0, 1, 5);
    const size_t dim = twins.config.head_dim;
    std::vector<float> got(dim), want(dim);
    for (const size_t p : {0, 4, 5}) {
      DecodeRow(Rows(twins.cache.Values(1, 1), 1, 6, dim), p, got.data());
      DecodeRow(Rows(twins.decoded.Values(1, p < 5 ? 0 : 1), 1, 6, dim), p, want.data());
      EXPECT_EQ(got, want) << GetFormat(type).name << " at " << p;
    }
  }
}

TEST(KvCache, WhatIsNotFiniteIsNotHidden) {
  const ModelConfig config = ConfigWithHeads(32);
  for (const FormatId type : kTypes)
    for (const float bad : {NAN, INFINITY, -INFINITY}) {
      KvCache cache(config, 1, 1, type);
      std::vector<float> values(2 * 32, 0.5f), row(32);
      values[40] = bad;
      cache.Write(0, 0, 0, values.data(), values.data());
      DecodeRow(Rows(cache.Keys(0, 0), 0, 1, 32), 0, row.data());
      EXPECT_TRUE(std::isfinite(row[8])) << "the other head";
      DecodeRow(Rows(cache.Keys(0, 0), 1, 1, 32), 0, row.data());
      EXPECT_FALSE(std::isfinite(row[8])) << GetFormat(type).name;
    }
}

TEST(KvType, IsCheckedAgainstTheHeads) {
  const ModelConfig wide = ConfigWithHeads(64), narrow = ConfigWithHeads(80);
  EXPECT_EQ(ParseKvType("fp16", wide), FormatId::kF16);
  EXPECT_EQ(ParseKvType("Q8_0", wide), FormatId::kQ8_0);
  EXPECT_EQ(ParseKvType("bf16", narrow), FormatId::kBF16);
  EXPECT_THROW((void)ParseKvType("q8_0", narrow), Error);
  EXPECT_THROW((void)ParseKvType("q5_0", wide), Error);
  EXPECT_THROW((void)ParseKvType("f17", wide), Error);
}

template <typename Call>
std::string MessageOf(const Call& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST(Room, ABatchThatDoesNotFitIsRefusedWithTheNumberThatWould) {
  const ModelConfig config = ConfigWithHeads(64);
  const auto needed = [&](size_t count) {
    return KvCache::Bytes(config, count, 100, FormatId::kF16) + InferenceBytes(config, 100, count);
  };
  for (const size_t fits : {1, 2, 7, 31}) {
    EXPECT_NO_THROW(RequireRoom(config, fits, 100, FormatId::kF16, needed(fits)));
    for (const size_t asked : {32, 1000}) {
      const std::string message = MessageOf([&] { RequireRoom(config, asked, 100, FormatId::kF16, needed(fits)); });
      EXPECT_TRUE(message.find(std::to_string(fits) + " would fit") != std::string::npos) << message;
    }
  }
  EXPECT_TRUE(MessageOf([&] { RequireRoom(config, 2, 100, FormatId::kF16, needed(1) - 1); }).find("not one fits") !=
              std::string::npos);
}

// A slot that holds a common prefix is there however many sequences there are.
TEST(Room, SharedSlotsCountBesideTheSequences) {
  const ModelConfig config = ConfigWithHeads(64);
  const auto needed = [&](size_t count, size_t shared) {
    return KvCache::Bytes(config, count + shared, 100, FormatId::kF16) + InferenceBytes(config, 100, count);
  };
  for (const size_t fits : {0, 1, 5, 16}) {
    EXPECT_EQ(SequencesThatFit(config, 16, 100, FormatId::kF16, needed(fits, 1), 1), fits);
    if (fits > 0) {
      EXPECT_EQ(SequencesThatFit(config, 16, 100, FormatId::kF16, needed(fits, 1) - 1, 1), fits - 1);
    }
  }
  EXPECT_EQ(SequencesThatFit(config, 3, 100, FormatId::kF16, needed(16, 0)), 3u);
}

}  // namespace
}  // namespace qad
