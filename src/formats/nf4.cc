#include "formats/nf4.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "kernels/tiles.h"

namespace qad {
namespace {

float LoadFloat(const std::byte* at, size_t i) {
  float value;
  std::memcpy(&value, at + i * sizeof(float), sizeof(value));
  return value;
}

std::array<float, kNestedMap> MakeDynamicMap() {
  constexpr int kDecades = 7;
  std::array<float, kNestedMap> map{};
  size_t at = 0;
  for (int decade = 0; decade < kDecades; ++decade) {
    const int steps = 1 << decade;
    const double unit = std::pow(10.0, decade - (kDecades - 1));
    for (int i = 0; i < steps; ++i) {
      const double middle = 0.1 + 0.9 * (i + 0.5) / steps;
      map[at++] = static_cast<float>(unit * middle);
      map[at++] = static_cast<float>(-unit * middle);
    }
  }
  map[at++] = 0;
  map[at++] = 1;
  std::ranges::sort(map);
  return map;
}

}  // namespace

unsigned Nf4View::Code(size_t i) const {
  const auto byte = static_cast<unsigned>(codes[i / 2]);
  return i % 2 == 0 ? byte >> 4 : byte & 15u;
}

float Nf4View::Scale(size_t i) const {
  if (nested_absmax == nullptr) return LoadFloat(absmax, i);
  return offset + LoadFloat(nested_map, static_cast<size_t>(absmax[i])) * LoadFloat(nested_absmax, i / nested_block);
}

void Nf4View::DecodeRow(size_t row, float* out) const {
  const size_t first = row * cols;
  float scale = 0;
  for (size_t i = 0; i < cols; ++i) {
    if (i == 0 || (first + i) % block == 0) scale = Scale((first + i) / block);
    out[i] = scale * kNf4Table.values[Code(first + i)];
  }
}

const std::array<float, 16>& Nf4Values() {
  static const std::array<float, 16> values = std::to_array(kNf4Table.values);
  return values;
}

const std::array<float, kNestedMap>& DynamicMap() {
  static const std::array<float, kNestedMap> map = MakeDynamicMap();
  return map;
}

float NestedScales::Scale(size_t i, size_t nested_block) const {
  return offset + DynamicMap()[bytes[i]] * absmax[i / nested_block];
}

NestedScales NestScales(std::span<const float> scales, size_t nested_block) {
  const auto& map = DynamicMap();
  NestedScales out;
  const double sum = std::accumulate(scales.begin(), scales.end(), 0.0);
  out.offset = static_cast<float>(sum / static_cast<double>(std::max<size_t>(scales.size(), 1)));
  for (size_t i = 0; i < scales.size(); ++i) {
    if (i % nested_block == 0) {
      float largest = 0;
      for (size_t j = i; j < std::min(i + nested_block, scales.size()); ++j)
        largest = std::max(largest, std::fabs(scales[j] - out.offset));
      out.absmax.push_back(largest);
    }
    const float share = out.absmax.back() > 0 ? (scales[i] - out.offset) / out.absmax.back() : 0.0f;
    const auto above = static_cast<size_t>(std::ranges::lower_bound(map, share) - map.begin());
    const bool lower = above == kNestedMap || (above > 0 && share - map[above - 1] < map[above] - share);
    out.bytes.push_back(static_cast<uint8_t>(lower ? above - 1 : above));
  }
  return out;
}

}  // namespace qad
