#include "kernels/panels_bf16.h"

#include <array>
#include <utility>

#include "base/error.h"
#include "kernels/targets.h"
#include "kernels/tiles_avx512.h"

#if defined(__x86_64__) && !defined(HWY_COMPILE_ONLY_SCALAR)

namespace qad {
namespace {

constexpr size_t kPrefetch = 1024;  // values ahead of those being read: panels in place come from memory
// Rows of activations at once, against one or two panels: their sums fill the registers.
constexpr size_t RowsAtOnce(size_t panels) { return 24 / panels; }

template <typename Element>
QAD_BF16_INLINE __m512i WordAt(const Element* at) {
  int32_t word;
  std::memcpy(&word, at, sizeof(word));
  return _mm512_set1_epi32(word);
}

// sum + a·b of 16 words: two products of bf16 each, or one of f32.
template <typename Element>
QAD_BF16_INLINE __m512 MultiplyAdd(__m512i a, __m512i b, __m512 sum) {
  if constexpr (sizeof(Element) == sizeof(float))
    return _mm512_fmadd_ps(_mm512_castsi512_ps(a), _mm512_castsi512_ps(b), sum);
  else
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
}

template <typename Element>
QAD_BF16_INLINE void Finish(const PanelProduct<Element>& p, size_t output, __m512 sum, float* y) {
  const size_t left = p.outputs - output;
  const __mmask16 mask = FirstLanes(left);
  if (p.scales != nullptr) sum = _mm512_mul_ps(sum, _mm512_maskz_loadu_ps(mask, p.scales + output));
  if (p.accumulate) sum = _mm512_add_ps(sum, _mm512_maskz_loadu_ps(mask, y + output));
  _mm512_mask_storeu_ps(y + output, mask, sum);
}

// kM rows of activations against kN panels, which come from memory where `kStream`.
template <typename Element, size_t kM, size_t kN, bool kStream>
QAD_BF16 void MultiplyBlock(const PanelProduct<Element>& p, size_t row, size_t output) {
  constexpr size_t kInputs = PanelProduct<Element>::kInputs;
  const Element* panel = p.panels + output * kInputs * p.words;
  const size_t next = kInputs * kTileRows * p.words;  // to the panel beside it
  const Element* x = p.x + row * p.ldx;
  __m512 sums[kM][kN];
  for (auto& of_row : sums)
    for (__m512& sum : of_row) sum = _mm512_setzero_ps();
  for (size_t k = 0; k < p.words; ++k, panel += kInputs * kTileRows) {
    __m512i w[kN];
    for (size_t n = 0; n < kN; ++n) {
      w[n] = _mm512_loadu_si512(panel + n * next);
      if constexpr (kStream) _mm_prefetch(reinterpret_cast<const char*>(panel + n * next + kPrefetch), _MM_HINT_T0);
    }
    for (size_t m = 0; m < kM; ++m) {
      const __m512i word = WordAt(x + m * p.ldx + kInputs * k);
      for (size_t n = 0; n < kN; ++n) sums[m][n] = MultiplyAdd<Element>(w[n], word, sums[m][n]);
    }
  }
  for (size_t m = 0; m < kM; ++m)
    for (size_t n = 0; n < kN; ++n) Finish(p, output + n * kTileRows, sums[m][n], p.y + (row + m) * p.ldy);
}

template <typename Element>
using BlockFunction = void (*)(const PanelProduct<Element>&, size_t row, size_t output);

template <typename Element, size_t kN, bool kStream, size_t... kRows>
constexpr std::array<BlockFunction<Element>, sizeof...(kRows)> BlocksOf(std::index_sequence<kRows...>) {
  return {MultiplyBlock<Element, kRows + 1, kN, kStream>...};
}

// All rows of activations against kN panels, in blocks of nearly equal height.
template <size_t kN, typename Element>
void MultiplyAll(const PanelProduct<Element>& p, size_t output) {
  constexpr size_t kMost = RowsAtOnce(kN);
  static constexpr auto kFromMemory = BlocksOf<Element, kN, true>(std::make_index_sequence<kMost>());
  static constexpr auto kFromCache = BlocksOf<Element, kN, false>(std::make_index_sequence<kMost>());
  const size_t blocks = (p.count + kMost - 1) / kMost;
  for (size_t b = 0; b < blocks; ++b) {
    const size_t begin = p.count * b / blocks, rows = p.count * (b + 1) / blocks - begin;
    (p.from_memory && b == 0 ? kFromMemory : kFromCache)[rows - 1](p, begin, output);
  }
}

template <typename Element>
void MultiplyInVectors(const PanelProduct<Element>& p) {
  // A few rows take as long as reading the panels, which is quickest in the order they lie in.
  const bool one = p.from_memory && p.count <= RowsAtOnce(1);
  for (size_t output = 0; output < p.outputs;) {
    const bool two = !one && output + kTileRows < p.outputs;
    two ? MultiplyAll<2>(p, output) : MultiplyAll<1>(p, output);
    output += two ? 2 * kTileRows : kTileRows;
  }
}

// AMX (Intel SDM, TDPBF16PS): a tile of 16 rows of 64 bytes of activations by a tile of 16 pairs of inputs and 16
// outputs, which is how panels lie. Sums of even and of odd inputs of a tile are added at its end.
constexpr size_t kTile = 16;              // rows of a tile, and words of a row
constexpr size_t kTileBytes = 64;         // of a row
constexpr size_t kBlockRows = 2 * kTile;  // of activations at once, against up to two panels
static_assert(kTile == kTileRows, "a panel is tiles, one after another");

struct alignas(64) TileConfig {
  uint8_t palette = 1, start_row = 0;
  std::array<uint8_t, 14> reserved = {};
  std::array<uint16_t, 16> row_bytes = {};
  std::array<uint8_t, 16> rows = {};
};
static_assert(sizeof(TileConfig) == 64);

// Values of a panel of a product in tiles.
size_t PanelLength(const BF16Product& p) { return (p.in_parts ? 2 : 1) * p.words * 2 * kTileRows; }

// Tiles 0 … 3 are sums of (upper, lower) × (first, second panel), 4 and 5 activations, 6 and 7 panels.
QAD_AMX void Configure(size_t rows) {
  const auto upper = static_cast<uint8_t>(std::min(rows, kTile)), lower = static_cast<uint8_t>(rows - upper);
  TileConfig config;
  const auto shape = [&](size_t tile, uint8_t height) {
    config.rows[tile] = height;
    config.row_bytes[tile] = height > 0 ? kTileBytes : 0;
  };
  for (const size_t tile : {0, 1, 4}) shape(tile, upper);
  for (const size_t tile : {2, 3, 5}) shape(tile, lower);
  for (const size_t tile : {6, 7}) shape(tile, kTile);
  // GCC 12 takes the next line to read no more than a pointer, and loads of tiles to read nothing: what was stored must
  // be in memory from here on.
  asm volatile("" ::"r"(&config) : "memory");
  _tile_loadconfig(&config);
}

template <bool kLower>
QAD_AMX_INLINE void LoadActivations(const uint16_t* upper, const uint16_t* lower, size_t bytes) {
  _tile_loadd(4, upper, bytes);
  if constexpr (kLower) _tile_loadd(5, lower, bytes);
}

template <size_t kN>
QAD_AMX_INLINE void LoadPanels(const uint16_t* first, const uint16_t* second) {
  _tile_loadd(6, first, kTileBytes);
  if constexpr (kN > 1) _tile_loadd(7, second, kTileBytes);
}

template <bool kLower, size_t kN>
QAD_AMX_INLINE void MultiplyLoaded() {
  _tile_dpbf16ps(0, 4, 6);
  if constexpr (kN > 1) _tile_dpbf16ps(1, 4, 7);
  if constexpr (kLower) _tile_dpbf16ps(2, 5, 6);
  if constexpr (kLower && kN > 1) _tile_dpbf16ps(3, 5, 7);
}

// The tiles' part of a product, rows × kN panels, into `sums`, (rows, ld) of which kN · 16 are written.
template <bool kLower, size_t kN, bool kInParts>
QAD_AMX void MultiplyTiles(const BF16Product& p, size_t row, size_t output, float* sums, size_t ld) {
  const size_t half = 2 * p.words, half_panel = half * kTileRows, panel = PanelLength(p);
  const uint16_t* first = p.panels + output / kTileRows * panel;
  const uint16_t* second = first + panel;
  const uint16_t* upper = p.x + row * p.ldx;
  const uint16_t* lower = upper + kTile * p.ldx;
  const size_t ldx = p.ldx * sizeof(uint16_t);
  _tile_zero(0);
  if constexpr (kN > 1) _tile_zero(1);
  if constexpr (kLower) _tile_zero(2);
  if constexpr (kLower && kN > 1) _tile_zero(3);
  for (size_t k = 0; k + kTile <= p.words; k += kTile) {
    const size_t of_panel = k * 2 * kTileRows, of_row = 2 * k;
    LoadPanels<kN>(first + of_panel, second + of_panel);
    if constexpr (kInParts) {
      LoadActivations<kLower>(upper + half + of_row, lower + half + of_row, ldx);
      MultiplyLoaded<kLower, kN>();
    }
    LoadActivations<kLower>(upper + of_row, lower + of_row, ldx);
    MultiplyLoaded<kLower, kN>();
    if constexpr (kInParts) {
      LoadPanels<kN>(first + half_panel + of_panel, second + half_panel + of_panel);
      MultiplyLoaded<kLower, kN>();
    }
  }
  const size_t bytes = ld * sizeof(float);
  _tile_stored(0, sums, bytes);
  if constexpr (kN > 1) _tile_stored(1, sums + kTile, bytes);
  if constexpr (kLower) _tile_stored(2, sums + kTile * ld, bytes);
  if constexpr (kLower && kN > 1) _tile_stored(3, sums + kTile * ld + kTile, bytes);
}

// Sum + a word of the activations by the panel's.
QAD_BF16_INLINE __m512 MultiplyWord(const uint16_t* x, const uint16_t* panel, __m512 sum) {
  return MultiplyAdd<uint16_t>(_mm512_loadu_si512(panel), WordAt(x), sum);
}

// What the tiles leave: inputs behind the last whole one, scales, and where the sums go.
template <size_t kN>
QAD_BF16 void FinishTiles(const BF16Product& p, size_t row, size_t rows, size_t output, const float* sums) {
  for (size_t m = row; m < row + rows; ++m)
    for (size_t n = 0; n < kN; ++n, sums += kTile) {
      __m512 sum = _mm512_load_ps(sums);
      const uint16_t* panel = p.panels + (output / kTileRows + n) * PanelLength(p);
      for (size_t k = p.words / kTile * kTile; k < p.words; ++k) {
        const uint16_t *x = p.x + m * p.ldx + 2 * k, *w = panel + k * 2 * kTileRows;
        sum = MultiplyWord(x, w, sum);
        if (!p.in_parts) continue;
        sum = MultiplyWord(x + 2 * p.words, w, sum);
        sum = MultiplyWord(x, w + p.words * 2 * kTileRows, sum);
      }
      Finish(p, output + n * kTileRows, sum, p.y + m * p.ldy);
    }
}

template <bool kLower, size_t kN>
void MultiplyTileBlock(const BF16Product& p, size_t row, size_t rows, size_t output) {
  const auto multiply = p.in_parts ? MultiplyTiles<kLower, kN, true> : MultiplyTiles<kLower, kN, false>;
  const bool whole = p.words % kTile == 0 && output + kN * kTile <= p.outputs;
  if (whole && p.scales == nullptr && !p.accumulate) return multiply(p, row, output, p.y + row * p.ldy + output, p.ldy);
  alignas(64) std::array<float, kBlockRows * kN * kTile> sums;
  multiply(p, row, output, sums.data(), kN * kTile);
  FinishTiles<kN>(p, row, rows, output, sums.data());
}

// Rows of one block against all panels.
void MultiplyRowsInTiles(const BF16Product& p, size_t row, size_t rows) {
  const bool lower = rows > kTile;
  for (size_t output = 0; output < p.outputs; output += 2 * kTileRows) {
    const bool two = output + kTileRows < p.outputs;
    const auto multiply = lower ? (two ? MultiplyTileBlock<true, 2> : MultiplyTileBlock<true, 1>)
                                : (two ? MultiplyTileBlock<false, 2> : MultiplyTileBlock<false, 1>);
    multiply(p, row, rows, output);
  }
}

QAD_AMX void MultiplyInTiles(const BF16Product& p) {
  const size_t whole = p.count / kBlockRows * kBlockRows;
  if (whole > 0) Configure(kBlockRows);
  for (size_t row = 0; row < whole; row += kBlockRows) MultiplyRowsInTiles(p, row, kBlockRows);
  if (p.count > whole) {
    Configure(p.count - whole);
    MultiplyRowsInTiles(p, whole, p.count - whole);
  }
  _tile_release();
}

}  // namespace

void MultiplyPanels(const BF16Product& product) {
  QAD_CHECK(!product.in_parts || TargetIsAmx());
  TargetIsAmx() ? MultiplyInTiles(product) : MultiplyInVectors(product);
}
void MultiplyPanels(const F32Product& product) { MultiplyInVectors(product); }

bool HasBF16Tiles() { return HasBF16Dot() && TargetIsAmx(); }

bool HasBF16Dot() {
  static const bool has = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return has && TargetIsAvx512();
}

}  // namespace qad

#else

namespace qad {

bool HasBF16Dot() { return false; }
bool HasBF16Tiles() { return false; }
void MultiplyPanels(const BF16Product&) { QAD_CHECK(false); }
void MultiplyPanels(const F32Product&) { QAD_CHECK(false); }

}  // namespace qad

#endif
