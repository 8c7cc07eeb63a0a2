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

constexpr size_t kHalfRows = kTileRows / 2;      // rows of a vector
constexpr size_t kHalfColumn = kTileColumn / 2;  // bytes of a column that belong to them
constexpr size_t kColumns = kBlock / 4;          // of a block, each four values of every row
constexpr size_t kPrefetchBytes = 1024;          // ahead of the codes being read

// A block is multiplied in passes of so many columns that their codes stay in registers, cut into unsigned digits so
// small that int16 holds what VPMADDUBSW sums: digits times activations of at most 127.
template <Layout kLayout>
struct Pass {
  // Signed bytes plus 128 are two digits of four bits.
  static constexpr size_t kDigits = TakesSignedBytes(kLayout) && kLayout != Layout::kInt6Super ? 2 : 1;
  static constexpr size_t kPasses = TakesSignedBytes(kLayout) ? 2 : 1;
  static constexpr size_t kCount = kColumns / kPasses;
  // Products added up in int16: 2·127·8·15 = 30480, 2·127·4·31 = 31496, 2·127·2·63 = 32004 for 6-bit codes plus 32.
  static constexpr size_t kAdded = HasFifth(kLayout) ? 4 : kLayout == Layout::kInt6Super ? 2 : kCount;
  // shifts >> kShift make up for what was added to the codes.
  static constexpr int kShift = kLayout == Layout::kInt6Super ? 2 : 0;
};

// Column j of 8 rows, as digits.
template <Layout kLayout>
QAD_AVX2_INLINE void LoadDigits(const std::byte* block, size_t j, __m256i* digits) {
  const auto* columns = reinterpret_cast<const __m256i*>(block);
  const __m256i low = _mm256_set1_epi8(15);
  if constexpr (kLayout == Layout::kInt6Super) {
    digits[0] = _mm256_add_epi8(_mm256_loadu_si256(columns + 2 * j), _mm256_set1_epi8(32));
  } else if constexpr (!IsUnsigned(kLayout)) {
    const __m256i codes = _mm256_xor_si256(_mm256_loadu_si256(columns + 2 * j), _mm256_set1_epi8(-128));
    digits[0] = _mm256_and_si256(codes, low);
    digits[1] = _mm256_and_si256(_mm256_srli_epi16(codes, 4), low);
  } else {
    const __m256i both = _mm256_loadu_si256(columns + j / 2 * 2);
    digits[0] = _mm256_and_si256(j % 2 == 0 ? both : _mm256_srli_epi16(both, 4), low);
    if constexpr (IsTable(kLayout)) {
      const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(TableOf(kLayout).bytes));
      const __m256i table = _mm256_xor_si256(_mm256_broadcastsi128_si256(bytes), _mm256_set1_epi8(-128));
      digits[1] = _mm256_shuffle_epi8(_mm256_and_si256(_mm256_srli_epi16(table, 4), low), digits[0]);
      digits[0] = _mm256_shuffle_epi8(_mm256_and_si256(table, low), digits[0]);
    }
    if constexpr (HasFifth(kLayout)) {
      const int shift = FifthShift(static_cast<int>(j));
      const __m256i fifth = _mm256_loadu_si256(columns + kColumns);
      const __m256i moved = shift >= 0 ? _mm256_srli_epi32(fifth, shift) : _mm256_slli_epi32(fifth, -shift);
      digits[0] = _mm256_or_si256(digits[0], _mm256_and_si256(moved, _mm256_set1_epi8(0x10)));
    }
  }
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

// Σ codes·q of a pass in int32 of 8 rows, what was added to the codes included.
template <Layout kLayout>
QAD_AVX2_INLINE __m256i Multiply(const __m256i* digits, const int8_t* q) {
  using Of = Pass<kLayout>;
  __m256i total = _mm256_setzero_si256();
#pragma GCC unroll 8
  for (size_t j = 0; j < Of::kCount; j += Of::kAdded) {
    __m256i sums[Of::kDigits];
    for (__m256i& sum : sums) sum = _mm256_setzero_si256();
#pragma GCC unroll 8
    for (size_t c = j; c < j + Of::kAdded; ++c) {
      int32_t four;
      std::memcpy(&four, q + 4 * c, sizeof(four));
      for (size_t d = 0; d < Of::kDigits; ++d)
        sums[d] = _mm256_add_epi16(sums[d], _mm256_maddubs_epi16(digits[c * Of::kDigits + d], _mm256_set1_epi32(four)));
    }
    total = _mm256_add_epi32(total, _mm256_madd_epi16(sums[0], _mm256_set1_epi16(1)));
    if constexpr (Of::kDigits == 2) total = _mm256_add_epi32(total, _mm256_madd_epi16(sums[1], _mm256_set1_epi16(16)));
  }
  return total;
}

// 8 rows of a block against `count` rows of activations, blocks of which are at `at` and behind it.
template <Layout kLayout>
QAD_AVX2_INLINE void AddBlock(const MatrixView& w, size_t row, size_t b, const std::byte* block, const QuantizedRows& x,
                              size_t at, size_t count, __m256* sums) {
  using Of = Pass<kLayout>;
  constexpr size_t kParts = ScaledParts(kLayout);
  HalfScales<kLayout> of;
  of.Load(w, row, b);
  for (size_t pass = 0; pass < Of::kPasses; ++pass) {
    const size_t part = kParts == 2 ? pass : 0;
    __m256i digits[Of::kCount * Of::kDigits];
#pragma GCC unroll 8
    for (size_t j = 0; j < Of::kCount; ++j) LoadDigits<kLayout>(block, pass * Of::kCount + j, digits + j * Of::kDigits);
    for (size_t m = 0; m < count; ++m) {
      const float* pair = x.pairs + 2 * (at + m);
      __m256i total = Multiply<kLayout>(digits, x.codes + (at + m) * kBlock + pass * Of::kCount * 4);
      if constexpr (TakesSignedBytes(kLayout))
        total = _mm256_add_epi32(total, _mm256_set1_epi32(x.shifts[2 * (at + m) + pass] >> Of::kShift));
      const __m256 scale = _mm256_mul_ps(of.scales[part], _mm256_set1_ps(pair[0]));
      sums[m] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), scale, sums[m]);
      if (kLayout == Layout::kInt8Row || IsTable(kLayout) || (kParts == 1 && pass > 0)) continue;
      const float sum = kParts == 2 ? x.HalfSum(at + m, part) : pair[1];
      sums[m] = _mm256_fmadd_ps(of.offsets[part], _mm256_set1_ps(sum), sums[m]);
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
    for (size_t half = 0; half < 2; ++half)
      AddBlock<kLayout>(w, row + half * kHalfRows, b, block + half * kHalfColumn, x, at, count, sums[half]);
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
