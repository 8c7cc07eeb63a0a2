// The values that a block of a GGUF type can hold, chosen for weights: which scales (and minimums) a block takes, given
// how much an error at each input matters. Q4_0 … Q8_0 have a scale of their own for 32 values; the K types have
// super-blocks of 256, whose parts share two f16 numbers that their own small ones are multiples of
// (formats/k_blocks.h).
//
// A super-block: each part's best real scale and minimum, the two f16 from the largest of them; then in turn the small
// numbers of each part among the neighbours of the nearest, and the f16 by least squares over the block.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "formats/k_blocks.h"
#include "kernels/fit_codes.h"

namespace qad {

// One block being made. Weights are ≥ 0 and not all zero.
class GgmlGrid {
 public:
  static bool Has(FormatId format);
  explicit GgmlGrid(FormatId format);

  size_t block() const { return block_; }  // values of a block
  size_t part() const { return part_; }    // values that share a scale

  // Chooses all scales for the block's values.
  void Start(const float* x, const float* w);
  // Chooses the small scale and minimum of one part anew, for values that have changed since; the block's f16 stay.
  void StartPart(size_t part, const float* x, const float* w);
  // The code of value i, and what it stands for.
  float Place(size_t i, float value);
  // Codes for all values with the scales as they are; returns the weighted sum of squared errors.
  float PlaceAll(const float* x, const float* w);

  // Whether all scales are finite: f16 ends at 65504.
  bool finite() const;
  // The block's bytes.
  void Write(std::byte* out) const;

 private:
  static constexpr size_t kMostParts = kSuperBlock / kSubBlock;
  bool super() const { return scales_.high > 0; }
  size_t parts() const { return block_ / part_; }
  void StartOwn(const float* x, const float* w);
  void StartSuper(const float* x, const float* w);
  float ChoosePart(size_t part, const float* x, const float* w, const Fit& fit);
  bool SolveShared(const float* x, const float* w);
  void SpreadPart(size_t part);
  void SetPart(size_t part, float scale, float offset);

  FormatId format_;
  size_t block_ = 0, part_ = 0;
  CodeRange range_{0, 0}, scales_{0, 0};  // of codes, and of small scales where there are any
  int minimums_ = 0;                      // 0 … of them
  bool affine_ = false;
  const float* table_ = nullptr;  // that codes stand for; null: for themselves

  SuperBlock stored_{};  // of types with own scales codes, d and m alone
  float d_ = 0, m_ = 0;
  std::array<float, kMostParts> scale_{}, offset_{}, inverse_{};  // of each part
};

// A row of `cols` values, a multiple of the type's block, with one weight for each.
// Returns the weighted sum of squared errors; NaN where a scale is beyond f16.
double EncodeGgmlRow(FormatId format, const float* x, const float* w, size_t cols, std::byte* out);

}  // namespace qad
