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
void Multiply(const PanelProduct<Element>& p) {
  // A few rows take as long as reading the panels, which is quickest in the order they lie in.
  const bool one = p.from_memory && p.count <= RowsAtOnce(1);
  for (size_t output = 0; output < p.outputs;) {
    const bool two = !one && output + kTileRows < p.outputs;
    two ? MultiplyAll<2>(p, output) : MultiplyAll<1>(p, output);
    output += two ? 2 * kTileRows : kTileRows;
  }
}

}  // namespace

void MultiplyPanels(const BF16Product& product) { Multiply(product); }
void MultiplyPanels(const F32Product& product) { Multiply(product); }

bool HasBF16Dot() {
  static const bool has = __builtin_cpu_supports("avx512bf16") && __builtin_cpu_supports("avx512bw") &&
                          __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
  return has && TargetIsAvx512();
}

}  // namespace qad

#else

namespace qad {

bool HasBF16Dot() { return false; }
void MultiplyPanels(const BF16Product&) { QAD_CHECK(false); }
void MultiplyPanels(const F32Product&) { QAD_CHECK(false); }

}  // namespace qad

#endif
