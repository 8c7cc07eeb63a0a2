// Any layout decoded to panels, with AVX-512 BF16.
#include <algorithm>

#include "base/error.h"
#include "kernels/panels_bf16.h"
#include "kernels/tiles_avx512.h"
#include "kernels/with_layout.h"

#if defined(__x86_64__) && !defined(HWY_COMPILE_ONLY_SCALAR)

namespace qad {
namespace {

constexpr size_t kVectorPairs = 16;  // of inputs, in one vector

// Two vectors of f32 (first: inputs of even number; second: of odd number) rounded, input beside input.
QAD_BF16_INLINE __m512i RoundPairs(__m512 even, __m512 odd) {
  const __m512i halves = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(odd, even));
  const __m512i order = _mm512_set_epi16(31, 15, 30, 14, 29, 13, 28, 12, 27, 11, 26, 10, 25, 9, 24, 8, 23, 7, 22, 6, 21,
                                         5, 20, 4, 19, 3, 18, 2, 17, 1, 16, 0);
  return _mm512_permutexvar_epi16(order, halves);
}

// Values 0 … 3 of column j of a block.
template <Layout kLayout>
QAD_BF16_INLINE void WidenFour(const std::byte* block, size_t j, __m512 scale, __m512 offset, __m512* values) {
  __m512i codes;
  if constexpr (IsUnsigned(kLayout))
    codes = UnsignedCodes<kLayout>(block, static_cast<int>(j));
  else
    codes = _mm512_loadu_si512(block + j * kTileColumn);
  for (int i = 0; i < 4; ++i) {
    const __m512i up = _mm512_sllv_epi32(codes, _mm512_set1_epi32(24 - 8 * i));
    const __m512i wide = IsUnsigned(kLayout) ? _mm512_srli_epi32(up, 24) : _mm512_srai_epi32(up, 24);
    if constexpr (IsTable(kLayout))
      values[i] = _mm512_mul_ps(_mm512_permutexvar_ps(wide, _mm512_load_ps(TableOf(kLayout).values)), scale);
    else
      values[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(wide), scale, offset);
  }
}

// The same as two vectors of pairs.
template <Layout kLayout>
QAD_BF16_INLINE void StoreFour(const std::byte* block, size_t j, __m512 scale, __m512 offset, uint16_t* out) {
  __m512 values[4];
  WidenFour<kLayout>(block, j, scale, offset, values);
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
      uint16_t four[4 * kTileRows];  // the last two columns of a matrix whose width is no multiple of four
      const bool whole = IsUnsigned(kLayout) || i + 4 <= columns;
      StoreFour<kLayout>(block, i / 4, scale, offset, whole ? out : four);
      if (!whole) std::copy_n(four, 2 * kTileRows, out);
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

// Where input `i` of a row lies: of rows of blocks, a multiple of 16.
template <Layout kLayout>
constexpr size_t InputOffset(size_t i) {
  if (kLayout == Layout::kQ8_0) return i / kBlock * kQ8Bytes + sizeof(uint16_t) + i % kBlock;
  if (kLayout == Layout::kQ4_0) return i / kBlock * kQ4Bytes + sizeof(uint16_t);
  return i * (kLayout == Layout::kF32 ? sizeof(float) : sizeof(uint16_t));
}

QAD_BF16_INLINE __m512 ScaleBefore(const std::byte* codes) {
  uint16_t bits;
  std::memcpy(&bits, codes - sizeof(bits), sizeof(bits));
  return _mm512_set1_ps(_cvtsh_ss(bits));
}

QAD_BF16_INLINE __m512 Signed(const std::byte* codes) {
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes))));
}

// The first or the second half of a kQ4_0 block.
QAD_BF16_INLINE __m512 Nibbles(const std::byte* codes, bool second) {
  const __m512i both = _mm512_cvtepu8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes)));
  const __m512i four = second ? _mm512_srli_epi32(both, 4) : _mm512_and_si512(both, _mm512_set1_epi32(15));
  return _mm512_cvtepi32_ps(_mm512_sub_epi32(four, _mm512_set1_epi32(8)));
}

// What rounding to bf16 leaves; it is exact.
QAD_BF16_INLINE __m512 RestOf(__m512 v) {
  const __m256i rounded = reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v));
  return _mm512_sub_ps(v, _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(rounded), 16)));
}

// Up to 32 inputs of one row as bf16, the missing ones zero; of rows of blocks, a block. `kRest`: what these leave.
template <Layout kLayout, bool kRest>
QAD_BF16_INLINE __m512i LoadInputs(const std::byte* row, size_t n) {
  const __mmask32 mask = n >= 32 ? ~__mmask32{0} : (__mmask32{1} << n) - 1;
  if constexpr (kLayout == Layout::kBF16) return _mm512_maskz_loadu_epi16(mask, row);
  const auto first = static_cast<__mmask16>(mask), second = static_cast<__mmask16>(mask >> 16);
  __m512 low, high;
  if constexpr (kLayout == Layout::kQ8_0 || kLayout == Layout::kQ4_0) {
    const __m512 scale = ScaleBefore(row);
    const bool eight = kLayout == Layout::kQ8_0;
    low = _mm512_mul_ps(eight ? Signed(row) : Nibbles(row, false), scale);
    high = _mm512_mul_ps(eight ? Signed(row + kBlock / 2) : Nibbles(row, true), scale);
  } else if constexpr (kLayout == Layout::kF16) {
    low = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first, row));
    high = _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(second, row + 32));
  } else {
    low = _mm512_maskz_loadu_ps(first, row);
    high = _mm512_maskz_loadu_ps(second, row + 64);
  }
  if constexpr (kRest) {
    low = RestOf(low);
    high = RestOf(high);
  }
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high, low));
}

QAD_BF16 void Split(const float* in, uint16_t* high, uint16_t* low, size_t n) {
  for (size_t i = 0; i < n; i += kTileRows) {
    const __mmask16 mask = FirstLanes(n - i);
    const __m512 v = _mm512_maskz_loadu_ps(mask, in + i);
    _mm256_mask_storeu_epi16(high + i, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v)));
    _mm256_mask_storeu_epi16(low + i, mask, reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(RestOf(v))));
  }
}

template <Layout kLayout, bool kRest = false>
QAD_BF16 void DecodeRows(const MatrixView& w, size_t row, uint16_t* panel) {
  const size_t pairs = InputPairs(w.cols), rows = std::min(kTileRows, w.rows - row);
  for (size_t p = 0; p < pairs; p += kVectorPairs) {
    __m512i v[kTileRows];
    for (size_t r = 0; r < kTileRows; ++r)
      v[r] = r < rows ? LoadInputs<kLayout, kRest>(w.codes + (row + r) * w.stride_bytes + InputOffset<kLayout>(2 * p),
                                                   w.cols - 2 * p)
                      : _mm512_setzero_si512();
    Transpose(v);
    const size_t count = std::min(kVectorPairs, pairs - p);
    for (size_t i = 0; i < count; ++i) _mm512_storeu_si512(panel + (p + i) * 2 * kTileRows, v[i]);
  }
}

// Up to 16 inputs of one row as f32, the missing ones zero; of rows of blocks, half a block.
template <Layout kLayout>
QAD_BF16_INLINE __m512 LoadColumns(const std::byte* row, __mmask16 mask, bool second) {
  if constexpr (kLayout == Layout::kQ8_0)
    return _mm512_mul_ps(Signed(row), ScaleBefore(second ? row - kBlock / 2 : row));
  if constexpr (kLayout == Layout::kQ4_0) return _mm512_mul_ps(Nibbles(row, second), ScaleBefore(row));
  if constexpr (kLayout == Layout::kF32) return _mm512_maskz_loadu_ps(mask, row);
  const __m256i halves = _mm256_maskz_loadu_epi16(mask, row);
  if constexpr (kLayout == Layout::kF16) return _mm512_cvtph_ps(halves);
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(halves), 16));
}

// 16 rows as f32: inputs one after another, 16 rows of each.
template <Layout kLayout>
QAD_BF16 void DecodeRowsF32(const MatrixView& w, size_t row, float* panel) {
  const size_t rows = std::min(kTileRows, w.rows - row);
  for (size_t i = 0; i < w.cols; i += kTileRows) {
    const __mmask16 mask = FirstLanes(w.cols - i);
    const std::byte* at = w.codes + row * w.stride_bytes + InputOffset<kLayout>(i);
    __m512i v[kTileRows];
    for (size_t r = 0; r < kTileRows; ++r, at += w.stride_bytes)
      v[r] = r < rows ? _mm512_castps_si512(LoadColumns<kLayout>(at, mask, i % kBlock != 0)) : _mm512_setzero_si512();
    Transpose(v);
    const size_t count = std::min(kTileRows, w.cols - i);
    for (size_t k = 0; k < count; ++k) _mm512_storeu_si512(panel + (i + k) * kTileRows, v[k]);
  }
}

template <Layout kLayout, bool kRest = false>
QAD_BF16 void DecodeColumns(const MatrixView& w, size_t column, size_t begin, size_t end, uint16_t* panel) {
  const size_t left = w.cols - column;
  const __mmask16 mask = FirstLanes(left);
  const bool second = column % kBlock != 0;
  const std::byte* row = w.codes + begin * w.stride_bytes + InputOffset<kLayout>(column);
  for (size_t k = begin; k < end; k += 2, panel += 2 * kTileRows, row += 2 * w.stride_bytes) {
    __m512 even = LoadColumns<kLayout>(row, mask, second);
    __m512 odd = k + 1 < end ? LoadColumns<kLayout>(row + w.stride_bytes, mask, second) : _mm512_setzero_ps();
    if constexpr (kRest) {
      even = RestOf(even);
      odd = RestOf(odd);
    }
    _mm512_storeu_si512(panel, RoundPairs(even, odd));
  }
}

// Half a block of one tile, from `column` on: 16 vectors of 16 rows.
template <Layout kLayout>
QAD_BF16_INLINE void WidenHalf(const MatrixView& w, size_t row, size_t column, __m512* values) {
  const size_t b = column / kBlock, first = column % kBlock / 4;
  const std::byte* block = TileBlock(w, row, b);
  TileScales<kLayout> of;
  of.Load(w, row, b);
  const size_t part = of.kParts == 2 && first > 0 ? 1 : 0;
  const __m512 scale = kLayout == Layout::kInt8Row ? _mm512_loadu_ps(w.row_scales + row) : of.scales[part];
  for (size_t j = 0; j < 4; ++j) WidenFour<kLayout>(block, first + j, scale, of.offsets[part], values + 4 * j);
}

// The same of tiles that hold bf16 pairs of columns: pairs of rows of 16 columns.
QAD_BF16 void DecodePairColumns(const MatrixView& w, size_t column, size_t begin, size_t end, uint16_t* panel) {
  constexpr uint16_t kOfOther = 32;  // in the selector: from the second vector
  __m512i even, odd;
  {
    alignas(64) uint16_t lanes[2][2 * kTileRows];
    for (uint16_t i = 0; i < 2 * kTileRows; ++i) {
      const auto lane = static_cast<uint16_t>(i % kTileRows * 2 + (i < kTileRows ? 0 : kOfOther));
      lanes[0][i] = lane;
      lanes[1][i] = static_cast<uint16_t>(lane + 1);
    }
    even = _mm512_load_si512(lanes[0]);
    odd = _mm512_load_si512(lanes[1]);
  }
  const size_t pairs_left = InputPairs(w.cols - column);
  for (size_t row = begin; row < end; row += 2 * kTileRows) {
    const std::byte *low = PairAt(w, row, column), *high = low + kTileRows * w.stride_bytes;
    const bool second = row + kTileRows < end;
    __m512i pairs[kTileRows];
    for (size_t i = 0; i < kTileRows / 2; ++i) {
      const bool inside = i < pairs_left;
      const __m512i a = inside ? _mm512_loadu_si512(low + i * kTileColumn) : _mm512_setzero_si512();
      const __m512i b = inside && second ? _mm512_loadu_si512(high + i * kTileColumn) : _mm512_setzero_si512();
      pairs[2 * i] = _mm512_permutex2var_epi16(a, even, b);
      pairs[2 * i + 1] = _mm512_permutex2var_epi16(a, odd, b);
    }
    Transpose(pairs);
    const size_t count = std::min(kTileRows, InputPairs(end - row));
    for (size_t i = 0; i < count; ++i, panel += 2 * kTileRows) _mm512_storeu_si512(panel, pairs[i]);
  }
}

// 32 rows of a column are the 16 pairs of one output.
template <Layout kLayout>
QAD_BF16 void DecodeTileColumns(const MatrixView& w, size_t column, size_t begin, size_t end, uint16_t* panel) {
  for (size_t row = begin; row < end; row += 2 * kTileRows) {
    __m512 low[kTileRows], high[kTileRows];
    WidenHalf<kLayout>(w, row, column, low);
    if (row + kTileRows < end)
      WidenHalf<kLayout>(w, row + kTileRows, column, high);
    else
      for (__m512& values : high) values = _mm512_setzero_ps();
    __m512i pairs[kTileRows];
    for (size_t i = 0; i < kTileRows; ++i) pairs[i] = reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high[i], low[i]));
    Transpose(pairs);
    const size_t count = std::min(kTileRows, InputPairs(end - row));
    for (size_t i = 0; i < count; ++i, panel += 2 * kTileRows) _mm512_storeu_si512(panel, pairs[i]);
  }
}

QAD_BF16 void TransposePairs(const uint16_t* panel, size_t pairs, uint16_t* rows, size_t ld) {
  for (size_t p = 0; p < pairs; p += kVectorPairs) {
    const size_t count = std::min(kVectorPairs, pairs - p);
    __m512i v[kVectorPairs];
    for (size_t i = 0; i < kVectorPairs; ++i)
      v[i] = i < count ? _mm512_loadu_si512(panel + (p + i) * 2 * kTileRows) : _mm512_setzero_si512();
    Transpose(v);
    for (size_t r = 0; r < kTileRows; ++r) _mm512_mask_storeu_epi32(rows + r * ld + 2 * p, FirstLanes(count), v[r]);
  }
}

}  // namespace

const uint16_t* DecodeBF16Panel(const MatrixView& w, size_t row, uint16_t* panel) {
  if (w.layout == Layout::kBF16Tile) return reinterpret_cast<const uint16_t*>(PairAt(w, row, 0));
  WithLayout(w.layout, [&](auto layout) {
    if constexpr (IsInteger(layout))
      DecodeTile<layout>(w, row, panel);
    else if constexpr (!IsTiled(layout))
      DecodeRows<layout>(w, row, panel);
  });
  return panel;
}

void DecodeBF16Rest(const MatrixView& w, size_t row, uint16_t* panel) {
  QAD_CHECK(w.layout == Layout::kF32);
  DecodeRows<Layout::kF32, true>(w, row, panel);
}

void SplitToBF16(const float* in, uint16_t* high, uint16_t* low, size_t n) { Split(in, high, low, n); }

void DecodeBF16ColumnPanel(const MatrixView& w, size_t column, size_t begin, size_t end, uint16_t* panel) {
  QAD_CHECK(begin % (2 * kTileRows) == 0 && (end % (2 * kTileRows) == 0 || end == w.rows));
  WithLayout(w.layout, [&](auto layout) {
    if constexpr (IsInteger(layout))
      DecodeTileColumns<layout>(w, column, begin, end, panel);
    else if constexpr (IsTiled(layout))
      DecodePairColumns(w, column, begin, end, panel);
    else
      DecodeColumns<layout>(w, column, begin, end, panel);
  });
}

void DecodeBF16ColumnRest(const MatrixView& w, size_t column, size_t begin, size_t end, uint16_t* panel) {
  QAD_CHECK(w.layout == Layout::kF32);
  DecodeColumns<Layout::kF32, true>(w, column, begin, end, panel);
}

void TransposePanel(const uint16_t* panel, size_t pairs, uint16_t* rows, size_t ld) {
  TransposePairs(panel, pairs, rows, ld);
}

void DecodeF32Panel(const MatrixView& w, size_t row, float* panel) {
  QAD_CHECK(!IsTiled(w.layout));
  WithLayout(w.layout, [&](auto layout) {
    if constexpr (!IsTiled(layout)) DecodeRowsF32<layout>(w, row, panel);
  });
}

}  // namespace qad

#else

namespace qad {

const uint16_t* DecodeBF16Panel(const MatrixView&, size_t, uint16_t*) { QAD_CHECK(false); }
void DecodeBF16Rest(const MatrixView&, size_t, uint16_t*) { QAD_CHECK(false); }
void SplitToBF16(const float*, uint16_t*, uint16_t*, size_t) { QAD_CHECK(false); }
void DecodeBF16ColumnPanel(const MatrixView&, size_t, size_t, size_t, uint16_t*) { QAD_CHECK(false); }
void DecodeBF16ColumnRest(const MatrixView&, size_t, size_t, size_t, uint16_t*) { QAD_CHECK(false); }
void TransposePanel(const uint16_t*, size_t, uint16_t*, size_t) { QAD_CHECK(false); }
void DecodeF32Panel(const MatrixView&, size_t, float*) { QAD_CHECK(false); }

}  // namespace qad

#endif
