// What the AVX-512 kernels have in common: a block's scales and codes as vectors of 16 rows. Included by them alone.
#pragma once

#include "kernels/tiles.h"

#if defined(__x86_64__) && !defined(HWY_COMPILE_ONLY_SCALAR)
#if !defined(__clang__)  // GCC 12 warns of the undefined vectors in its own intrinsics (GCC bug 105593)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#pragma GCC diagnostic ignored "-Wuninitialized"
#endif
#include <immintrin.h>

namespace qad {

// The least that all of them run on; inlined into functions with more.
#define QAD_TILES __attribute__((target("avx512f,avx512bw,avx512vl,f16c"), always_inline)) inline

// Of the kernels in bf16.
#define QAD_BF16 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,f16c")))
#define QAD_BF16_INLINE \
  __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,f16c"), always_inline)) inline

// Of those in tiles of AMX.
#define QAD_AMX __attribute__((target("amx-tile,amx-bf16")))
#define QAD_AMX_INLINE __attribute__((target("amx-tile,amx-bf16"), always_inline)) inline

// The first `n` lanes of 16.
inline __mmask16 FirstLanes(size_t n) { return static_cast<__mmask16>(n >= 16 ? 0xffffu : (1u << n) - 1); }

QAD_TILES __m512 HalvesAt(const uint16_t* at) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)));
}

QAD_TILES __m512 BytesAt(const uint8_t* at, bool is_signed) {
  const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(at));
  return _mm512_cvtepi32_ps(is_signed ? _mm512_cvtepi8_epi32(bytes) : _mm512_cvtepu8_epi32(bytes));
}

// Scales and offsets of the parts of a block, of 16 rows; of kInt8Row one and zero, of tables offsets of zero.
template <Layout kLayout>
struct TileScales {
  static constexpr size_t kParts = ScaledParts(kLayout);
  __m512 scales[kParts], offsets[kParts];

  QAD_TILES void Load(const MatrixView& w, size_t row, size_t block) {
    if constexpr (kLayout == Layout::kInt8Row) {
      scales[0] = _mm512_set1_ps(1);
      offsets[0] = _mm512_setzero_ps();
    } else if constexpr (IsSuper(kLayout)) {
      const SuperScales at = TileSuper(w, row, block);
      const __m512 d = HalvesAt(at.pairs), m = HalvesAt(at.pairs + kTileRows);
      for (size_t part = 0; part < kParts; ++part) {
        const uint8_t* factors = at.parts + part * kTileRows;
        scales[part] = _mm512_mul_ps(d, BytesAt(factors, !IsUnsigned(kLayout)));
        offsets[part] = _mm512_mul_ps(m, BytesAt(factors + kParts * kTileRows, false));
      }
    } else if constexpr (IsTable(kLayout)) {
      scales[0] = _mm512_loadu_ps(TileFloats(w, row, block));
      offsets[0] = _mm512_setzero_ps();
    } else {
      scales[0] = HalvesAt(TilePairs(w, row, block));
      offsets[0] = HalvesAt(TilePairs(w, row, block) + kTileRows);
      if constexpr (kLayout == Layout::kInt4Zero)
        offsets[0] = _mm512_fnmadd_ps(scales[0], offsets[0], _mm512_setzero_ps());
    }
  }
};

// Values 4j … 4j+3 of 16 rows of a block whose codes are unsigned.
template <Layout kLayout>
QAD_TILES __m512i UnsignedCodes(const std::byte* block, int j) {
  const __m512i both = _mm512_loadu_si512(block + static_cast<size_t>(j / 2) * kTileColumn);
  const __m512i four = _mm512_and_si512(j % 2 == 0 ? both : _mm512_srli_epi16(both, 4), _mm512_set1_epi8(15));
  if constexpr (!HasFifth(kLayout)) return four;
  const __m512i fifth = _mm512_loadu_si512(block + kBlock / 8 * kTileColumn);
  const __m128i shift = _mm_cvtsi32_si128(FifthShift(j) >= 0 ? FifthShift(j) : -FifthShift(j));
  const __m512i moved = FifthShift(j) >= 0 ? _mm512_srl_epi32(fifth, shift) : _mm512_sll_epi32(fifth, shift);
  return _mm512_ternarylogic_epi32(four, moved, _mm512_set1_epi8(0x10), 0xf8);  // four | (moved & 0x10)
}

}  // namespace qad

#endif
