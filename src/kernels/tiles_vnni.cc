#include "kernels/tiles_vnni.h"

#include "base/error.h"
#include "kernels/targets.h"
#include "kernels/tiles_avx512.h"
#include "kernels/with_layout.h"

#if defined(__x86_64__) && !defined(HWY_COMPILE_ONLY_SCALAR)

namespace qad {
namespace {

#define QAD_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,f16c")))
#define QAD_VNNI_INLINE __attribute__((target("avx512f,avx512bw,avx512vl,avx512vnni,f16c"), always_inline)) inline

constexpr size_t kColumns = kBlock / 4;  // vectors of a block, four values of each row in each
constexpr size_t kAtOnce = 8;            // rows of activations: their sums and the block's codes fill the registers
static_assert(QuantizedRows::kStrip % kAtOnce == 0);
constexpr size_t kPrefetchBytes = 2048;  // ahead of the codes being read

// The block's codes as unsigned bytes: int4 and int5 as they are, int8 and what tables hold plus 128.
template <Layout kLayout>
QAD_VNNI_INLINE void LoadBlock(const std::byte* block, __m512i* codes) {
  if constexpr (IsTable(kLayout)) {
    const __m128i bytes = _mm_load_si128(reinterpret_cast<const __m128i*>(TableOf(kLayout).bytes));
    const __m512i table = _mm512_xor_si512(_mm512_broadcast_i32x4(bytes), _mm512_set1_epi8(-128));
    for (int j = 0; j < static_cast<int>(kColumns); ++j)
      codes[j] = _mm512_shuffle_epi8(table, UnsignedCodes<kLayout>(block, j));
  } else if constexpr (IsUnsigned(kLayout)) {
    for (int j = 0; j < static_cast<int>(kColumns); ++j) codes[j] = UnsignedCodes<kLayout>(block, j);
  } else {
    const __m512i sign = _mm512_set1_epi8(static_cast<char>(0x80));
    for (size_t j = 0; j < kColumns; ++j)
      codes[j] = _mm512_xor_si512(_mm512_loadu_si512(block + j * kTileColumn), sign);
  }
}

template <Layout kLayout, size_t kCount>
QAD_VNNI_INLINE void DotTileOf(const MatrixView& w, size_t row, const QuantizedRows& x, size_t first, float* y,
                               size_t ldy) {
  constexpr size_t kBytes = kTileRows * CodeBytes(kLayout);
  constexpr bool kHalves = ScaledParts(kLayout) == 2;
  const std::byte* block = TileBlock(w, row, 0);
  const size_t start = x.At(first, 0), next = x.StripRows(first);
  __m512 sums[kCount];
  for (__m512& sum : sums) sum = _mm512_setzero_ps();
  for (size_t b = 0; b < x.blocks; ++b, block += kBytes) {
    for (size_t i = 0; i < kBytes; i += kTileColumn)
      _mm_prefetch(reinterpret_cast<const char*>(block + kPrefetchBytes + i), _MM_HINT_T0);
    __m512i codes[kColumns];
    LoadBlock<kLayout>(block, codes);
    TileScales<kLayout> w_scales;
    w_scales.Load(w, row, b);
    for (size_t m = 0; m < kCount; ++m) {
      const size_t at = start + b * next + m;
      const int8_t* four = x.codes + at * kBlock;
      // Two sums, so that products need not wait for each other: the block's halves where these have own scales.
      __m512i products[2] = {_mm512_setzero_si512(), _mm512_setzero_si512()};
      if constexpr (TakesSignedBytes(kLayout))
        for (size_t half = 0; half < 2; ++half) products[half] = _mm512_set1_epi32(x.shifts[2 * at + half]);
      for (size_t j = 0; j < kColumns; ++j) {
        int32_t a;
        std::memcpy(&a, four + 4 * j, sizeof(a));
        __m512i& sum = products[kHalves ? j / (kColumns / 2) : j % 2];
        sum = _mm512_dpbusd_epi32(sum, codes[j], _mm512_set1_epi32(a));
      }
      if constexpr (!kHalves) products[0] = _mm512_add_epi32(products[0], products[1]);
      const __m512 x_scale = _mm512_set1_ps(x.pairs[2 * at] * (IsTable(kLayout) ? TableOf(kLayout).step : 1));
      for (size_t part = 0; part < w_scales.kParts; ++part) {
        const __m512 scale = _mm512_mul_ps(w_scales.scales[part], x_scale);
        sums[m] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(products[part]), scale, sums[m]);
        if constexpr (kLayout != Layout::kInt8Row && !IsTable(kLayout)) {
          const float sum = kHalves ? x.HalfSum(at, part) : x.pairs[2 * at + 1];
          sums[m] = _mm512_fmadd_ps(w_scales.offsets[part], _mm512_set1_ps(sum), sums[m]);
        }
      }
    }
  }
  for (size_t m = 0; m < kCount; ++m) {
    if constexpr (kLayout == Layout::kInt8Row) sums[m] = _mm512_mul_ps(sums[m], _mm512_loadu_ps(w.row_scales + row));
    _mm512_storeu_ps(y + m * ldy, sums[m]);
  }
}

template <Layout kLayout>
QAD_VNNI void DotAll(const MatrixView& w, size_t row, const QuantizedRows& x, size_t first, size_t count, float* y,
                     size_t ldy) {
  size_t m = 0;
  for (; m + kAtOnce <= count; m += kAtOnce) DotTileOf<kLayout, kAtOnce>(w, row, x, first + m, y + m * ldy, ldy);
  for (; m + 4 <= count; m += 4) DotTileOf<kLayout, 4>(w, row, x, first + m, y + m * ldy, ldy);
  for (; m < count; ++m) DotTileOf<kLayout, 1>(w, row, x, first + m, y + m * ldy, ldy);
}

}  // namespace

void DotTileVnni(const MatrixView& w, size_t row, const QuantizedRows& x, size_t first, size_t count, float* y,
                 size_t ldy) {
  QAD_CHECK(IsInteger(w.layout));
  WithLayout(w.layout, [&](auto layout) {
    if constexpr (IsInteger(layout)) DotAll<layout>(w, row, x, first, count, y, ldy);
  });
}

namespace {
bool allowed = true;
}  // namespace

void AllowVnni(bool allow) { allowed = allow; }

bool HasVnni() {
  static const bool has =
      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl");
  return has && allowed && TargetIsAvx512();
}

}  // namespace qad

#else

namespace qad {

void DotTileVnni(const MatrixView&, size_t, const QuantizedRows&, size_t, size_t, float*, size_t) { QAD_CHECK(false); }
void AllowVnni(bool) {}
bool HasVnni() { return false; }

}  // namespace qad

#endif
