#include "kernels/tiles_avx2.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "kernels/targets.h"
#include "kernels/tiles.h"
#include "kernels/with_layout.h"

#if defined(__x86_64__) && !defined(HWY_COMPILE_ONLY_SCALAR)

#include <immintrin.h>

namespace qad {
namespace {

#define QAD_AVX2 __attribute__((target("avx2,fma,f16c")))
#define QAD_AVX2_INLINE __attribute__((target("avx2,fma,f16c"), always_inline)) inline

constexpr size_t kHalfRows = kTileRows / 2;                       // rows of a vector
constexpr size_t kHalfColumn = kTileColumn / 2;                   // bytes of a column that belong to them
constexpr size_t kColumns = kBlock / 4;                           // of a block, each four values of every row
constexpr size_t kPrefetchBytes = 1024;                           // ahead of the codes being read
constexpr size_t kPasses = 2, kPassColumns = kColumns / kPasses;  // so that the codes of a pass stay in registers

// VPMADDUBSW multiplies unsigned bytes by signed ones and adds the products in pairs, which int16 must hold, more of
// them as long as it does. Activations are at most 127; signed codes w go as |w| times the activations with w's sign.
template <Layout kLayout>
struct Pass {
  static constexpr bool kSigned = TakesSignedBytes(kLayout);
  static constexpr size_t kVectors = kSigned ? 2 : 1;  // of a column: codes, and their magnitudes
  static constexpr size_t kHalves = 2 / kVectors;      // of a tile at once: activations are broadcast for both
  // Columns that are added up in int16: 2·127·4·15 = 15240, 2·127·4·31 = 31496, 2·127·4·32 = 32512, 2·127·128 = 32512.
  static constexpr size_t kAdded = kSigned && kLayout != Layout::kInt6Super ? 1 : kPassColumns;
};

// Column j of 8 rows.
template <Layout kLayout>
QAD_AVX2_INLINE void LoadColumn(const std::byte* block, size_t j, __m256i* codes) {
  const auto* columns = reinterpret_cast<const __m256i*>(block);
  if constexpr (!IsUnsigned(kLayout)) {
    codes[0] = _mm256_loadu_si256(columns + 2 * j);
  } else {
    const __m256i both = _mm256_loadu_si256(columns + j / 2 * 2);
    codes[0] = _mm256_and_si256(j % 2 == 0 ? both : _mm256_srli_epi16(both, 4), _mm256_set1_epi8(15));
    if constexpr (IsTable(kLayout)) {
      const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(TableOf(kLayout).bytes));
      codes[0] = _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(bytes), codes[0]);
    }
    if constexpr (HasFifth(kLayout)) {
      const int shift = FifthShift(static_cast<int>(j));
      const __m256i fifth = _mm256_loadu_si256(columns + kColumns);
      const __m256i moved = shift >= 0 ? _mm256_srli_epi32(fifth, shift) : _mm256_slli_epi32(fifth, -shift);
      codes[0] = _mm256_or_si256(codes[0], _mm256_and_si256(moved, _mm256_set1_epi8(0x10)));
    }
  }
  if constexpr (Pass<kLayout>::kSigned) codes[1] = _mm256_abs_epi8(codes[0]);
}

QAD_AVX2_INLINE __m256 HalvesAt(const uint16_t* at) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(at)));
}

QAD_AVX2_INLINE __m256 BytesAt(const uint8_t* at, bool is_signed) {
  const __m128i bytes = _mm_loadl_epi64(reinterpret_cast<const __m128i*>(at));
  return _mm256_cvtepi32_ps(is_signed ? _mm256_cvtepi8_epi32(bytes) : _mm256_cvtepu8_epi32(bytes));
}

// Scales and offsets of the parts of a block, of 8 rows; of kInt8Row one and zero, of tables offsets of zero.
template <Layout kLayout>
struct HalfScales {
  static constexpr size_t kParts = ScaledParts(kLayout);
  __m256 scales[kParts], offsets[kParts];

  QAD_AVX2_INLINE void Load(const MatrixView& w, size_t row, size_t block) {
    const size_t first = row % kTileRows;
    if constexpr (kLayout == Layout::kInt8Row) {
      scales[0] = _mm256_set1_ps(1);
      offsets[0] = _mm256_setzero_ps();
    } else if constexpr (IsSuper(kLayout)) {
      const SuperScales at = TileSuper(w, row, block);
      const __m256 d = HalvesAt(at.pairs + first), m = HalvesAt(at.pairs + kTileRows + first);
      for (size_t part = 0; part < kParts; ++part) {
        const uint8_t* factors = at.parts + part * kTileRows + first;
        scales[part] = _mm256_mul_ps(d, BytesAt(factors, !IsUnsigned(kLayout)));
        offsets[part] = _mm256_mul_ps(m, BytesAt(factors + kParts * kTileRows, false));
      }
    } else if constexpr (IsTable(kLayout)) {
      scales[0] =
          _mm256_mul_ps(_mm256_loadu_ps(TileFloats(w, row, block) + first), _mm256_set1_ps(TableOf(kLayout).step));
      offsets[0] = _mm256_setzero_ps();
    } else {
      scales[0] = HalvesAt(TilePairs(w, row, block) + first);
      offsets[0] = HalvesAt(TilePairs(w, row, block) + kTileRows + first);
      if constexpr (kLayout == Layout::kInt4Zero)
        offsets[0] = _mm256_fnmadd_ps(scales[0], offsets[0], _mm256_setzero_ps());
    }
  }
};

// Σ codes·q of a pass in int32 of 8 rows. `fours`: of each column the activations.
template <Layout kLayout>
QAD_AVX2_INLINE __m256i Multiply(const __m256i* codes, const __m256i* fours) {
  using Of = Pass<kLayout>;
  __m256i total = _mm256_setzero_si256();
#pragma GCC unroll 4
  for (size_t j = 0; j < kPassColumns; j += Of::kAdded) {
    __m256i sum = _mm256_setzero_si256();
#pragma GCC unroll 4
    for (size_t c = j; c < j + Of::kAdded; ++c) {
      if constexpr (Of::kSigned)
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(codes[2 * c + 1], _mm256_sign_epi8(fours[c], codes[2 * c])));
      else
        sum = _mm256_add_epi16(sum, _mm256_maddubs_epi16(codes[c], fours[c]));
    }
    total = _mm256_add_epi32(total, _mm256_madd_epi16(sum, _mm256_set1_epi16(1)));
  }
  return total;
}

// sum + what a part of a block comes to for one row of activations.
template <Layout kLayout>
QAD_AVX2_INLINE __m256 AddPart(const HalfScales<kLayout>& of, const QuantizedRows& x, size_t at, size_t part,
                               __m256i total, __m256 sum) {
  const float* pair = x.pairs + 2 * at;
  sum = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), _mm256_mul_ps(of.scales[part], _mm256_set1_ps(pair[0])), sum);
  if (kLayout == Layout::kInt8Row || IsTable(kLayout)) return sum;
  const float activations = ScaledParts(kLayout) == 2 ? x.HalfSum(at, part) : pair[1];
  return _mm256_fmadd_ps(of.offsets[part], _mm256_set1_ps(activations), sum);
}

// The columns of a pass, of 8 rows: what Multiply takes.
template <Layout kLayout>
QAD_AVX2_INLINE void LoadPass(const std::byte* half, size_t pass, __m256i* codes) {
#pragma GCC unroll 4
  for (size_t j = 0; j < kPassColumns; ++j)
    LoadColumn<kLayout>(half, pass * kPassColumns + j, codes + j * Pass<kLayout>::kVectors);
}

// The activations of a pass, four of them in every lane.
QAD_AVX2_INLINE void BroadcastPass(const int8_t* block, size_t pass, __m256i* fours) {
#pragma GCC unroll 4
  for (size_t j = 0; j < kPassColumns; ++j) {
    int32_t four;
    std::memcpy(&four, block + 4 * (pass * kPassColumns + j), sizeof(four));
    fours[j] = _mm256_set1_epi32(four);
  }
}

// The 16 rows of a tile's block, in halves, against `count` rows of activations, blocks of which are at `at` and behind
// it.
template <Layout kLayout, size_t kMost>
QAD_AVX2_INLINE void AddBlock(const MatrixView& w, size_t row, size_t b, const std::byte* block, const QuantizedRows& x,
                              size_t at, size_t count, __m256 (*sums)[kMost]) {
  using Of = Pass<kLayout>;
  constexpr bool kParted = ScaledParts(kLayout) == kPasses;  // each pass has scales of its own
  for (size_t first = 0; first < 2; first += Of::kHalves) {
    HalfScales<kLayout> of[Of::kHalves];
    for (size_t h = 0; h < Of::kHalves; ++h) of[h].Load(w, row + (first + h) * kHalfRows, b);
    __m256i before[kMost][Of::kHalves];  // what the first pass came to
#pragma GCC unroll 2
    for (size_t pass = 0; pass < kPasses; ++pass) {
      __m256i codes[Of::kHalves][kPassColumns * Of::kVectors];
      for (size_t h = 0; h < Of::kHalves; ++h) LoadPass<kLayout>(block + (first + h) * kHalfColumn, pass, codes[h]);
#pragma GCC unroll 2
      for (size_t m = 0; m < count; ++m) {
        __m256i fours[kPassColumns];
        BroadcastPass(x.codes + (at + m) * kBlock, pass, fours);
        for (size_t h = 0; h < Of::kHalves; ++h) {
          __m256i total = Multiply<kLayout>(codes[h], fours);
          if (!kParted && pass == 0) {
            before[m][h] = total;
            continue;
          }
          if (!kParted) total = _mm256_add_epi32(total, before[m][h]);
          __m256& sum = sums[first + h][m];
          sum = AddPart<kLayout>(of[h], x, at + m, kParted ? pass : 0, total, sum);
        }
      }
    }
  }
}

// Rows of activations `first` … `first + count` lie in one strip; count is at most kMost.
template <Layout kLayout, size_t kMost>
QAD_AVX2 void DotStrip(const MatrixView& w, size_t row, const QuantizedRows& x, size_t first, size_t count, float* y,
                       size_t ldy) {
  constexpr size_t kBytes = kTileRows * CodeBytes(kLayout);
  if (kMost == 1) count = 1;  // known to the compiler: sums stay in registers
  const std::byte* block = TileBlock(w, row, 0);
  size_t at = x.At(first, 0);
  const size_t next = x.StripRows(first);
  __m256 sums[2][kMost];
  for (auto& half : sums)
    for (__m256& sum : half) sum = _mm256_setzero_ps();
  for (size_t b = 0; b < x.blocks; ++b, block += kBytes, at += next) {
    for (size_t i = 0; i < kBytes && kMost == 1; i += kTileColumn)
      _mm_prefetch(reinterpret_cast<const char*>(block + kPrefetchBytes + i), _MM_HINT_T0);
    AddBlock<kLayout, kMost>(w, row, b, block, x, at, count, sums);
  }
  for (size_t m = 0; m < count; ++m)
    for (size_t half = 0; half < 2; ++half) {
      __m256 sum = sums[half][m];
      if constexpr (kLayout == Layout::kInt8Row)
        sum = _mm256_mul_ps(sum, _mm256_loadu_ps(w.row_scales + row + half * kHalfRows));
      _mm256_storeu_ps(y + m * ldy + half * kHalfRows, sum);
    }
}

}  // namespace

void DotTileAvx2(const MatrixView& w, size_t row, const QuantizedRows& x, size_t first, size_t count, float* y,
                 size_t ldy) {
  QAD_CHECK(IsInteger(w.layout));
  WithLayout(w.layout, [&](auto layout) {
    if constexpr (IsInteger(layout)) {
      if (count == 1)
        DotStrip<layout, 1>(w, row, x, first, 1, y, ldy);
      else
        DotStrip<layout, QuantizedRows::kStrip>(w, row, x, first, count, y, ldy);
    }
  });
}

bool HasAvx2Tiles() {
  static const bool has = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");  // F16C came before both
  return has && TargetIsAvx2();
}

}  // namespace qad

#else

namespace qad {

void DotTileAvx2(const MatrixView&, size_t, const QuantizedRows&, size_t, size_t, float*, size_t) { QAD_CHECK(false); }
bool HasAvx2Tiles() { return false; }

}  // namespace qad

#endif
