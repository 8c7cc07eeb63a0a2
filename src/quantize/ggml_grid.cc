#include "quantize/ggml_grid.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/half.h"
#include "kernels/tiles.h"

namespace qad {
namespace {

constexpr int kRounds = 2;  // of choosing parts and solving for what they share

struct Row {
  FormatId format;
  size_t block, part;
  CodeRange codes, scales;  // scales {0, 0}: a part's scale is an f16 of its own
  int minimums = 0;
  bool affine = false;
  const float* table = nullptr;
};
constexpr Row kRows[] = {
    {FormatId::kQ8_0, 32, 32, {-127, 127}, {0, 0}, 0, false},
    {FormatId::kQ4_0, 32, 32, {-8, 7}, {0, 0}, 0, false},
    {FormatId::kQ4_1, 32, 32, {0, 15}, {0, 0}, 0, true},
    {FormatId::kQ5_0, 32, 32, {-16, 15}, {0, 0}, 0, false},
    {FormatId::kQ5_1, 32, 32, {0, 31}, {0, 0}, 0, true},
    {FormatId::kQ2_K, 256, 16, {0, 3}, {0, 15}, 15, true},
    {FormatId::kQ3_K, 256, 16, {-4, 3}, {-32, 31}, 0, false},
    {FormatId::kQ4_K, 256, 32, {0, 15}, {0, 63}, 63, true},
    {FormatId::kQ5_K, 256, 32, {0, 31}, {0, 63}, 63, true},
    {FormatId::kQ6_K, 256, 16, {-32, 31}, {-128, 127}, 0, false},
    {FormatId::kIQ4_NL, 32, 32, {0, 15}, {0, 0}, 0, false, kIq4Table.values},
};

const Row* FindRow(FormatId format) {
  for (const Row& row : kRows)
    if (row.format == format) return &row;
  return nullptr;
}

float Half(float value) { return F16ToFloat(FloatToF16(value)); }

int Nearest(float ideal, float unit, int low, int high) {
  if (unit == 0) return 0;
  return static_cast<int>(std::lround(std::clamp(ideal / unit, static_cast<float>(low), static_cast<float>(high))));
}

template <typename T>
std::byte* Put(T value, std::byte* out) {
  std::memcpy(out, &value, sizeof(value));
  return out + sizeof(value);
}

}  // namespace

bool GgmlGrid::Has(FormatId format) { return FindRow(format) != nullptr; }

GgmlGrid::GgmlGrid(FormatId format) : format_(format) {
  const Row* row = FindRow(format);
  QAD_CHECK(row != nullptr);
  block_ = row->block;
  part_ = row->part;
  range_ = row->codes;
  scales_ = row->scales;
  minimums_ = row->minimums;
  affine_ = row->affine;
  table_ = row->table;
}

void GgmlGrid::Start(const float* x, const float* w) { super() ? StartSuper(x, w) : StartOwn(x, w); }

void GgmlGrid::SetPart(size_t part, float scale, float offset) {
  scale_[part] = scale;
  offset_[part] = offset;
  const float inverse = 1.0f / scale;
  inverse_[part] = std::isfinite(inverse) ? inverse : 0.0f;
}

void GgmlGrid::StartOwn(const float* x, const float* w) {
  const Fit fit = table_ != nullptr ? FitTable(x, w, block_, table_)
                  : affine_         ? FitAffine(x, w, block_, range_.high, true)
                                    : FitScale(x, w, block_, range_, true);
  stored_.d = FloatToF16(fit.scale);
  stored_.m = FloatToF16(fit.offset);
  SetPart(0, F16ToFloat(stored_.d), affine_ ? F16ToFloat(stored_.m) : 0.0f);
}

void GgmlGrid::StartSuper(const float* x, const float* w) {
  std::array<Fit, kMostParts> fits;
  float largest = 0, lowest = 0;
  for (size_t p = 0; p < parts(); ++p) {
    const float *values = x + p * part_, *weights = w + p * part_;
    fits[p] = affine_ ? FitAffine(values, weights, part_, range_.high, false)
                      : FitScale(values, weights, part_, range_, true);
    if (std::fabs(fits[p].scale) > std::fabs(largest)) largest = fits[p].scale;
    lowest = std::min(lowest, fits[p].offset);
  }
  // Of signed scales the largest takes the longer side of their range.
  const int side = scales_.low < 0 ? scales_.low : scales_.high;
  d_ = Half(largest / static_cast<float>(side));
  m_ = minimums_ > 0 ? Half(-lowest / static_cast<float>(minimums_)) : 0.0f;
  stored_.d = FloatToF16(d_);
  stored_.m = FloatToF16(m_);
  if (!finite()) return;
  float best = std::numeric_limits<float>::infinity();
  SuperBlock kept = stored_;
  for (int round = 0; round <= kRounds; ++round) {
    float error = 0;
    for (size_t p = 0; p < parts(); ++p) error += ChoosePart(p, x + p * part_, w + p * part_, fits[p]);
    if (error < best) {
      best = error;
      kept = stored_;
    }
    if (round < kRounds && !SolveShared(x, w)) break;
  }
  stored_ = kept;
  d_ = F16ToFloat(stored_.d);
  m_ = F16ToFloat(stored_.m);
  for (size_t p = 0; p < parts(); ++p) SpreadPart(p);
}

void GgmlGrid::StartPart(size_t part, const float* x, const float* w) {
  if (!super()) return;
  const Fit fit = affine_ ? FitAffine(x, w, part_, range_.high, false) : FitScale(x, w, part_, range_, true);
  ChoosePart(part, x, w, fit);
}

// The small numbers beside the nearest ones are tried, too.
float GgmlGrid::ChoosePart(size_t part, const float* x, const float* w, const Fit& fit) {
  std::array<int8_t, kBlock> codes;
  float best = std::numeric_limits<float>::infinity();
  const int scale = Nearest(fit.scale, d_, scales_.low, scales_.high), minimum = Nearest(-fit.offset, m_, 0, minimums_);
  const int reach = minimums_ > 0 && m_ != 0 ? 1 : 0;
  stored_.d = FloatToF16(d_);
  stored_.m = FloatToF16(m_);
  const size_t first = part * part_ / kSubBlock, last = (part + 1) * part_ / kSubBlock;
  for (int s = std::max(scale - 1, scales_.low); s <= std::min(scale + 1, scales_.high); ++s)
    for (int n = std::max(minimum - reach, 0); n <= std::min(minimum + reach, minimums_); ++n) {
      const float error =
          RoundToCodes(x, w, part_, range_, d_ * static_cast<float>(s), -m_ * static_cast<float>(n), codes.data());
      if (!(error < best)) continue;
      best = error;
      for (size_t i = first; i < last; ++i) {
        stored_.scales[i] = static_cast<int8_t>(s);
        stored_.minimums[i] = static_cast<uint8_t>(n);
      }
      std::copy_n(codes.data(), part_, stored_.codes.data() + part * part_);
    }
  SpreadPart(part);
  return best;
}

void GgmlGrid::SpreadPart(size_t part) {
  const size_t i = part * part_ / kSubBlock;
  SetPart(part, d_ * static_cast<float>(stored_.scales[i]), -m_ * static_cast<float>(stored_.minimums[i]));
}

// min Σ w (x − d·s·q + m·n)² over d and m. False where nothing changes.
bool GgmlGrid::SolveShared(const float* x, const float* w) {
  double uu = 0, uv = 0, vv = 0, ux = 0, vx = 0;
  for (size_t j = 0; j < kMostParts; ++j) {
    double q1 = 0, q2 = 0, qx = 0, sum = 0, sum_x = 0;
    for (size_t i = j * kSubBlock; i < (j + 1) * kSubBlock; ++i) {
      const double q = stored_.codes[i], weight = static_cast<double>(w[i]), value = static_cast<double>(x[i]);
      q1 += weight * q;
      q2 += weight * q * q;
      qx += weight * q * value;
      sum += weight;
      sum_x += weight * value;
    }
    const double s = stored_.scales[j], n = -static_cast<double>(stored_.minimums[j]);
    uu += s * s * q2;
    uv += s * n * q1;
    vv += n * n * sum;
    ux += s * qx;
    vx += n * sum_x;
  }
  double d = static_cast<double>(d_), m = static_cast<double>(m_);
  const double determinant = uu * vv - uv * uv;
  if (determinant > 1e-9 * uu * vv) {
    d = (ux * vv - vx * uv) / determinant;
    m = (vx * uu - ux * uv) / determinant;
  } else if (uu > 0) {
    d = (ux - uv * m) / uu;
  }
  if (m < 0) {  // offsets would be above zero
    m = 0;
    if (uu > 0) d = ux / uu;
  }
  const float new_d = Half(static_cast<float>(d)), new_m = Half(static_cast<float>(m));
  if ((new_d == d_ && new_m == m_) || !std::isfinite(new_d) || !std::isfinite(new_m)) return false;
  d_ = new_d;
  m_ = new_m;
  return true;
}

float GgmlGrid::Place(size_t i, float value) {
  const size_t part = i / part_;
  const auto low = static_cast<float>(range_.low), high = static_cast<float>(range_.high);
  const float ideal = (value - offset_[part]) * inverse_[part];
  if (table_ != nullptr) {
    size_t code = 0;
    while (code + 1 < 16 && ideal > 0.5f * (table_[code] + table_[code + 1])) ++code;
    stored_.codes[i] = static_cast<int8_t>(code);
    return scale_[part] * table_[code];
  }
  const float code = std::nearbyint(std::clamp(ideal, low, high));
  stored_.codes[i] = static_cast<int8_t>(code);
  return scale_[part] * code + offset_[part];
}

float GgmlGrid::PlaceAll(const float* x, const float* w) {
  if (table_ != nullptr) return RoundToTable(x, w, block_, table_, scale_[0], stored_.codes.data());
  float error = 0;
  for (size_t p = 0; p < parts(); ++p)
    error += RoundToCodes(x + p * part_, w + p * part_, part_, range_, scale_[p], offset_[p],
                          stored_.codes.data() + p * part_);
  return error;
}

bool GgmlGrid::finite() const { return std::isfinite(F16ToFloat(stored_.d)) && std::isfinite(F16ToFloat(stored_.m)); }

void GgmlGrid::Write(std::byte* out) const {
  if (super()) return PackSuperBlock(format_, stored_, out);
  out = Put(stored_.d, out);
  if (affine_) out = Put(stored_.m, out);
  if (format_ == FormatId::kQ8_0) {
    std::memcpy(out, stored_.codes.data(), block_);
    return;
  }
  std::array<unsigned, 32> codes;
  for (size_t i = 0; i < codes.size(); ++i) codes[i] = static_cast<unsigned>(stored_.codes[i] - range_.low);
  if (range_.high - range_.low == 31) {
    uint32_t fifth = 0;
    for (size_t i = 0; i < codes.size(); ++i) fifth |= (codes[i] >> 4) << i;
    out = Put(fifth, out);
  }
  for (size_t i = 0; i < 16; ++i) out[i] = static_cast<std::byte>((codes[i] & 15) | (codes[i + 16] & 15) << 4);
}

double EncodeGgmlRow(FormatId format, const float* x, const float* w, size_t cols, std::byte* out) {
  GgmlGrid grid(format);
  const auto bytes = static_cast<size_t>(GetFormat(format).block_bytes);
  double error = 0;
  for (size_t i = 0; i < cols; i += grid.block(), out += bytes) {
    grid.Start(x + i, w + i);
    if (!grid.finite()) return std::numeric_limits<double>::quiet_NaN();
    error += static_cast<double>(grid.PlaceAll(x + i, w + i));
    grid.Write(out);
  }
  return error;
}

}  // namespace qad
