#include "kernels/panels_bf16.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/targets.h"
#include "kernels/tiles_avx512.h"

#if defined(__x86_64__) && !defined(HWY_COMPILE_ONLY_SCALAR)

namespace qad {
namespace {

#define QAD_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,f16c")))
#define QAD_BF16_INLINE \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,f16c"), always_inline)) inline

constexpr size_t kVectorPairs = 16;  // of inputs, in one vector
constexpr size_t kRowsAtOnce = 12;   // of activations, against two panels: their sums fill the registers

// The first `n` lanes of 16.
__mmask16 FirstLanes(size_t n) { return static_cast<__mmask16>(n >= 16 ? 0xffffu : (1u << n) - 1); }

// Two vectors of f32 (first: inputs of even number; second: of odd number) rounded, input beside input.
QAD_BF16_INLINE __m512i RoundPairs(__m512 even, __m512 odd) {
  const __m512i halves = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even));
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, halves);
}

// Values 0 … 3 of a column of codes, one byte each, as two vectors of pairs.
template <bool kSigned>
QAD_BF16_INLINE void StoreFour(__m512i codes, __m512 scale, __m512 offset, uint16_t* out) {
  __m512 values[4];
  for (int i = 0; i < 4; ++i) {
    const __m512i up = _mm512_sllv_epi32(codes, _mm512_set1_epi32(24 - 8 * i));
    const __m512i wide = kSigned ? _mm512_srai_epi32(up, 24) : _mm512_srli_epi32(up, 24);
    values[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(wide), scale, offset);
  }
  _mm512_storeu_si512(out, RoundPairs(values[0], values[1]));
  _mm512_storeu_si512(out + 2 * kTileRows, RoundPairs(values[2], values[3]));
}

template <Layout kLayout>
QAD_BF16 void DecodeTile(const MatrixView& w, size_t row, uint16_t* panel) {
  for (size_t b = 0; b * kBlock < w.cols; ++b) {
    const std::byte* block = TileBlock(w, row, b);
    TileScales<kLayout> of;
    of.Load(w, row, b);
    const size_t columns = std::min(kBlock, 2 * InputPairs(w.cols) - b * kBlock);
    for (size_t i = 0; i < columns; i += 4) {
      const __m512 scale = of.scales[i * of.kParts / kBlock], offset = of.offsets[i * of.kParts / kBlock];
      uint16_t* out = panel + (b * kBlock + i) * kTileRows;
      if constexpr (IsUnsigned(kLayout)) {
        StoreFour<false>(UnsignedCodes<kLayout>(block, static_cast<int>(i / 4)), scale, offset, out);
      } else {
        uint16_t four[4 * kTileRows];  // the last two columns of a matrix whose width is no multiple of four
        const bool whole = i + 4 <= columns;
        StoreFour<true>(_mm512_loadu_si512(block + i / 4 * kTileColumn), scale, offset, whole ? out : four);
        if (!whole) std::copy_n(four, 2 * kTileRows, out);
      }
    }
  }
}

// 16 vectors of 16 words, transposed.
QAD_BF16_INLINE void Transpose(__m512i* v) {
  __m512i t[16];
  for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_epi32(v[i], v[i + 1]);
    t[i + 1] = _mm512_unpackhi_epi32(v[i], v[i + 1]);
  }
  for (int i = 0; i < 16; i += 4) {
    v[i] = _mm512_unpacklo_epi64(t[i], t[i + 2]);
    v[i + 1] = _mm512_unpackhi_epi64(t[i], t[i + 2]);
    v[i + 2] = _mm512_unpacklo_epi64(t[i + 1], t[i + 3]);
    v[i + 3] = _mm512_unpackhi_epi64(t[i + 1], t[i + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    t[i] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0x88);
    t[i + 4] = _mm512_shuffle_i32x4(v[i], v[i + 4], 0xdd);
    t[i + 8] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0x88);
    t[i + 12] = _mm512_shuffle_i32x4(v[i + 8], v[i + 12], 0xdd);
  }
  for (int i = 0; i < 4; ++i) {
    v[i] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0x88);
    v[i + 8] = _mm512_shuffle_i32x4(t[i], t[i + 8], 0xdd);
    v[i + 4] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0x88);
    v[i + 12] = _mm512_shuffle_i32x4(t[i + 4], t[i + 12], 0xdd);
  }
}

// Up to 32 inputs of one row as bf16, the missing ones zero.
template <Layout kLayout>
QAD_BF16_INLINE __m512i LoadDense(const std::byte* row, size_t n) {
  const __mmask32 mask = n >= 32 ? ~__mmask32{0} : (__mmask32{1} << n) - 1;
  if constexpr (kLayout == Layout::kBF16) return _mm512_maskz_loadu_epi16(mask, row);
  const auto first = static_cast<__mmask16>(mask), second = static_cast<__mmask16>(mask >> 16);
  __m512 low, high;
  if constexpr (kLayout == Layout::kF16) {
    low = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first, row));
    high = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(second, row + 32));
  } else {
    low = _mm512_maskz_loadu_ps(first, row);
    high = _mm512_maskz_loadu_ps(second, row + 64);
  }
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

template <Layout kLayout>
QAD_BF16 void DecodeDense(const MatrixView& w, size_t row, uint16_t* panel) {
  constexpr size_t kElement = kLayout == Layout::kF32 ? 4 : 2;
  const size_t pairs = InputPairs(w.cols), rows = std::min(kTileRows, w.rows - row);
  for (size_t p = 0; p < pairs; p += kVectorPairs) {
    __m512i v[kTileRows];
    for (size_t r = 0; r < kTileRows; ++r)
      v[r] = r < rows ? LoadDense<kLayout>(w.codes + (row + r) * w.stride_bytes + 2 * p * kElement, w.cols - 2 * p)
                      : _mm512_setzero_si512();
    Transpose(v);
    const size_t count = std::min(kVectorPairs, pairs - p);
    for (size_t i = 0; i < count; ++i) _mm512_storeu_si512(panel + (p + i) * 2 * kTileRows, v[i]);
  }
}

// Up to 16 inputs of one row as f32, the missing ones zero.
template <Layout kLayout>
QAD_BF16_INLINE __m512 LoadColumns(const std::byte* row, __mmask16 mask) {
  if constexpr (kLayout == Layout::kF32) return _mm512_maskz_loadu_ps(mask, row);
  const __m256i halves = _mm256_maskz_loadu_epi16(mask, row);
  if constexpr (kLayout == Layout::kF16) return _mm512_cvtph_ps(halves);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

template <Layout kLayout>
QAD_BF16 void DecodeColumns(const MatrixView& w, size_t column, uint16_t* panel) {
  const size_t left = w.cols - column;
  const __mmask16 mask = FirstLanes(left);
  const std::byte* row = w.codes + column * (kLayout == Layout::kF32 ? 4 : 2);
  for (size_t k = 0; k < w.rows; k += 2, panel += 2 * kTileRows, row += 2 * w.stride_bytes) {
    const __m512 even = LoadColumns<kLayout>(row, mask);
    const __m512 odd = k + 1 < w.rows ? LoadColumns<kLayout>(row + w.stride_bytes, mask) : _mm512_setzero_ps();
    _mm512_storeu_si512(panel, RoundPairs(even, odd));
  }
}

QAD_BF16_INLINE __m512i PairAt(const uint16_t* at) {
  int32_t pair;
  std::memcpy(&pair, at, sizeof(pair));
  return _mm512_set1_epi32(pair);
}

QAD_BF16_INLINE void Finish(const BF16Product& p, size_t output, __m512 sum, float* y) {
  const size_t left = p.outputs - output;
  const __mmask16 mask = FirstLanes(left);
  if (p.scales != nullptr) sum = _mm512_mul_ps(sum, _mm512_maskz_loadu_ps(mask, p.scales + output));
  if (p.accumulate) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, y + output));
  _mm512_mask_storeu_ps(y + output, mask, sum);
}

// kM rows of activations against kN panels.
template <size_t kM, size_t kN>
QAD_BF16 void MultiplyBlock(const BF16Product& p, size_t row, size_t output) {
  const uint16_t* panel = p.panels + output * 2 * p.pairs;
  const size_t next = 2 * kTileRows * p.pairs;  // to the panel beside it
  const uint16_t* x = p.x + row * p.ldx;
  __m512 sums[kM][kN];
  for (auto& of_row : sums)
    for (__m512& sum : of_row) sum = _mm512_setzero_ps();
  for (size_t k = 0; k < p.pairs; ++k, panel += 2 * kTileRows) {
    __m512i w[kN];
    for (size_t n = 0; n < kN; ++n) w[n] = _mm512_loadu_si512(panel + n * next);
    for (size_t m = 0; m < kM; ++m) {
      const __m512i pair = PairAt(x + m * p.ldx + 2 * k);
      for (size_t n = 0; n < kN; ++n)
        sums[m][n] = _mm512_dpbf16_ps(sums[m][n], reinterpret_cast<__m512bh>(w[n]), reinterpret_cast<__m512bh>(pair));
    }
  }
  for (size_t m = 0; m < kM; ++m)
    for (size_t n = 0; n < kN; ++n) Finish(p, output + n * kTileRows, sums[m][n], p.y + (row + m) * p.ldy);
}

constexpr size_t kWeightRows = 4, kFewAtOnce = 6;  // weights against activations: 24 sums
constexpr size_t kPrefetchRows = 8;

// kW rows of weights against kM of activations, 32 inputs at a time; lanes are added at the end.
template <size_t kW, size_t kM>
QAD_BF16 void DotBlock(const MatrixView& w, size_t row, const BF16Rows& x, size_t first, float* y, size_t ldy) {
  constexpr size_t kStep = 32;
  const auto* weights = reinterpret_cast<const uint16_t*>(w.codes + row * w.stride_bytes);
  const uint16_t* inputs = x.data + first * x.stride;
  const size_t ldw = w.stride_bytes / sizeof(uint16_t), ldx = x.stride, cols = w.cols;
  __m512 sums[kW][kM];
  for (auto& of_row : sums)
    for (__m512& sum : of_row) sum = _mm512_setzero_ps();
  for (size_t k = 0; k < cols; k += kStep) {
    const auto mask = static_cast<__mmask32>(cols - k >= kStep ? ~0u : ~(~0u << (cols - k)));
    __m512i v[kW];
    for (size_t r = 0; r < kW; ++r) {
      v[r] = _mm512_maskz_loadu_epi16(mask, weights + r * ldw + k);
      // Rows side by side are no stream that the hardware would follow by itself; one row after another is.
      if constexpr (kW > 1)
        if (first == 0)
          _mm_prefetch(reinterpret_cast<const char*>(weights + (kPrefetchRows + r) * ldw + k), _MM_HINT_T0);
    }
    for (size_t m = 0; m < kM; ++m) {
      const __m512i input = _mm512_maskz_loadu_epi16(mask, inputs + m * ldx + k);
      for (size_t r = 0; r < kW; ++r)
        sums[r][m] = _mm512_dpbf16_ps(sums[r][m], reinterpret_cast<__m512bh>(v[r]), reinterpret_cast<__m512bh>(input));
    }
  }
  // Unrolled, or GCC keeps all sums in memory from the first product on.
#pragma GCC unroll 8
  for (size_t m = 0; m < kM; ++m)
#pragma GCC unroll 8
    for (size_t r = 0; r < kW; ++r) y[(first + m) * ldy + row + r] = _mm512_reduce_add_ps(sums[r][m]);
}

template <size_t kW>
QAD_BF16 void DotAll(const MatrixView& w, size_t row, const BF16Rows& x, float* y, size_t ldy) {
  size_t m = 0;
  for (; m + kFewAtOnce <= x.count; m += kFewAtOnce) DotBlock<kW, kFewAtOnce>(w, row, x, m, y, ldy);
  for (; m + 2 <= x.count; m += 2) DotBlock<kW, 2>(w, row, x, m, y, ldy);
  if (m < x.count) DotBlock<kW, 1>(w, row, x, m, y, ldy);
}

using BlockFunction = void (*)(const BF16Product&, size_t row, size_t output);

template <size_t kN>
BlockFunction BlockOf(size_t rows) {
  static constexpr BlockFunction kBlocks[kRowsAtOnce] = {
      MultiplyBlock<1, kN>, MultiplyBlock<2, kN>,  MultiplyBlock<3, kN>,  MultiplyBlock<4, kN>,
      MultiplyBlock<5, kN>, MultiplyBlock<6, kN>,  MultiplyBlock<7, kN>,  MultiplyBlock<8, kN>,
      MultiplyBlock<9, kN>, MultiplyBlock<10, kN>, MultiplyBlock<11, kN>, MultiplyBlock<12, kN>};
  return kBlocks[rows - 1];
}

}  // namespace

void DecodeBF16Panel(const MatrixView& w, size_t row, uint16_t* panel) {
  switch (w.layout) {
    case Layout::kF32:
      return DecodeDense<Layout::kF32>(w, row, panel);
    case Layout::kF16:
      return DecodeDense<Layout::kF16>(w, row, panel);
    case Layout::kBF16:
      return DecodeDense<Layout::kBF16>(w, row, panel);
    case Layout::kInt8Row:
      return DecodeTile<Layout::kInt8Row>(w, row, panel);
    case Layout::kInt8Block:
      return DecodeTile<Layout::kInt8Block>(w, row, panel);
    case Layout::kInt5Block:
      return DecodeTile<Layout::kInt5Block>(w, row, panel);
    case Layout::kInt4Block:
      return DecodeTile<Layout::kInt4Block>(w, row, panel);
    case Layout::kInt8Super:
      return DecodeTile<Layout::kInt8Super>(w, row, panel);
    case Layout::kInt5Super:
      return DecodeTile<Layout::kInt5Super>(w, row, panel);
    case Layout::kInt4Super:
      return DecodeTile<Layout::kInt4Super>(w, row, panel);
  }
}

void DecodeBF16ColumnPanel(const MatrixView& w, size_t column, uint16_t* panel) {
  switch (w.layout) {
    case Layout::kF32:
      return DecodeColumns<Layout::kF32>(w, column, panel);
    case Layout::kF16:
      return DecodeColumns<Layout::kF16>(w, column, panel);
    case Layout::kBF16:
      return DecodeColumns<Layout::kBF16>(w, column, panel);
    default:
      QAD_CHECK(false);
  }
}

void MultiplyBF16Panels(const BF16Product& p) {
  const size_t blocks = (p.count + kRowsAtOnce - 1) / kRowsAtOnce;
  for (size_t output = 0; output < p.outputs;) {
    const bool two = output + kTileRows < p.outputs;
    for (size_t b = 0; b < blocks; ++b) {  // of nearly equal height
      const size_t begin = p.count * b / blocks, rows = p.count * (b + 1) / blocks - begin;
      (two ? BlockOf<2>(rows) : BlockOf<1>(rows))(p, begin, output);
    }
    output += two ? 2 * kTileRows : kTileRows;
  }
}

void DotRowsBF16(const MatrixView& w, size_t begin, size_t end, const BF16Rows& x, float* y, size_t ldy) {
  QAD_CHECK(w.layout == Layout::kBF16);
  size_t row = begin;
  // One row of activations takes as long as reading the weights, which is quickest in the order they lie in.
  if (x.count > 1)
    for (; row + kWeightRows <= end; row += kWeightRows) DotAll<kWeightRows>(w, row, x, y, ldy);
  for (; row < end; ++row) DotAll<1>(w, row, x, y, ldy);
}

bool HasBF16Dot() {
  static const bool has = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return has && TargetIsAvx512();
}

}  // namespace qad

#else

namespace qad {

bool HasBF16Dot() { return false; }
void DecodeBF16Panel(const MatrixView&, size_t, uint16_t*) { QAD_CHECK(false); }
void DecodeBF16ColumnPanel(const MatrixView&, size_t, uint16_t*) { QAD_CHECK(false); }
void MultiplyBF16Panels(const BF16Product&) { QAD_CHECK(false); }
void DotRowsBF16(const MatrixView&, size_t, size_t, const BF16Rows&, float*, size_t) { QAD_CHECK(false); }

}  // namespace qad

#endif
