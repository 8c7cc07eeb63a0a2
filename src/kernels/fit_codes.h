// The scale, or scale and offset, with which small whole numbers stand for a run of values best: the inner loop of
// every quantizer. Σ wᵢ(xᵢ − (scale·qᵢ + offset))² is made small over candidates of the scale, for each of which the
// codes are rounded and scale and offset then solved by least squares, twice.
//
// All take n > 0 values, a multiple of kFitStep, with weights w ≥ 0; what fills a run up has weight zero and repeats a
// value of the run. Values are finite. Equal on all targets up to the rounding of sums.
#pragma once

#include <cstddef>
#include <cstdint>

namespace qad {

inline constexpr size_t kFitStep = 16;

struct CodeRange {
  int low, high;
};

struct Fit {
  float scale = 0, offset = 0, error = 0;
};

// Offset zero. The scale may be negative where `negative`: then the largest magnitude takes the longer side of the
// range, whatever its sign.
Fit FitScale(const float* x, const float* w, size_t n, CodeRange range, bool negative);

// Codes 0 … top, scale ≥ 0. Offsets above zero only where `any_offset`.
Fit FitAffine(const float* x, const float* w, size_t n, int top, bool any_offset);

// Codes 0 … 15 that stand for the rising values of a table, as FitScale with `negative`.
Fit FitTable(const float* x, const float* w, size_t n, const float* table);

// codes[i] = (x[i] − offset) / scale, rounded and cut to the range; all the code nearest to zero where scale is 0.
// Returns the weighted sum of squared errors.
float RoundToCodes(const float* x, const float* w, size_t n, CodeRange range, float scale, float offset, int8_t* codes);
// The same with the nearest of a table's values.
float RoundToTable(const float* x, const float* w, size_t n, const float* table, float scale, int8_t* codes);

}  // namespace qad
