#include "model/source.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/half.h"
#include "model/foreign.h"
#include "model/repack.h"

namespace qad {
namespace {

std::optional<FormatId> FormatOf(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return FormatId::kF32;
    case DType::kF16:
      return FormatId::kF16;
    case DType::kBF16:
      return FormatId::kBF16;
    case DType::kI8:
      return FormatId::kInt8;
    default:
      return std::nullopt;
  }
}

TensorSource FromSafetensors(const ModelFiles& files, const ModelConfig& config, const TensorSpec& spec) {
  const std::string where = files.path.string();
  if (const std::optional<GroupedView> view = FindGrouped(files, spec))
    return {.format = StoredGrouped(*view).format, .rows = spec.rows, .cols = spec.cols, .grouped = *view};
  if (const std::optional<Nf4View> view = FindNf4(files, spec))
    return {.format = FormatId::kNf4, .rows = spec.rows, .cols = spec.cols, .nf4 = *view};
  const SafetensorsEntry* entry = FindEntry(files, spec.name);
  if (entry == nullptr) FailInput("{}: tensor \"{}\" is missing; is the model complete?", where, spec.name);
  const std::optional<FormatId> format = FormatOf(entry->dtype);
  if (!format)
    FailInput("{}: tensor \"{}\" has type {}, which this version cannot decode", where, spec.name,
              DTypeName(entry->dtype));
  TensorSource source{.format = *format, .rows = spec.rows, .cols = spec.cols, .data = entry->bytes.data()};
  const bool matrix = IsBlockMatrix(spec);
  // Quantized artefacts hold (out, in) always; only dense Conv1D matrices lie the other way round.
  source.transposed = config.family->traits.conv1d && matrix && *format != FormatId::kInt8;
  std::vector<int64_t> expected{static_cast<int64_t>(spec.rows), static_cast<int64_t>(spec.cols)};
  if (source.transposed) std::swap(expected[0], expected[1]);
  if (IsVector(spec)) expected = {static_cast<int64_t>(spec.cols)};
  if (entry->shape != expected)
    FailInput("{}: tensor \"{}\" has shape {}, the configuration says {}", where, spec.name, ShapeText(entry->shape),
              ShapeText(expected));
  if (*format == FormatId::kInt8) {
    const SafetensorsEntry* scale = FindEntry(files, spec.name + "_scale");
    if (scale == nullptr || scale->dtype != DType::kF32 || scale->Elements() != static_cast<int64_t>(spec.rows))
      FailInput("{}: int8 tensor \"{}\" wants a scale per row: \"{}_scale\", F32, {} values", where, spec.name,
                spec.name, spec.rows);
    source.scales = scale->bytes.data();
  }
  return source;
}

TensorSource FromGguf(const ModelFiles& files, const ModelConfig& config, const TensorSpec& spec) {
  const std::string where = files.path.string();
  const GgufTensor* tensor = files.gguf->Find(spec.gguf_name);
  if (tensor == nullptr) FailInput("{}: tensor \"{}\" is missing; is the file complete?", where, spec.gguf_name);
  if (tensor->format == nullptr)
    FailInput("{}: tensor \"{}\" has type {}, which this version cannot decode", where, spec.gguf_name,
              GgufTypeName(tensor->type));
  int64_t elements = 1;
  for (const int64_t n : tensor->shape) elements *= n;
  if (tensor->shape.empty() || tensor->shape.back() != static_cast<int64_t>(spec.cols) ||
      elements != static_cast<int64_t>(spec.elements()))
    FailInput("{}: tensor \"{}\" has shape {}, the header says ({}, {})", where, spec.gguf_name,
              ShapeText(tensor->shape), spec.rows, spec.cols);
  TensorSource source{.format = tensor->format->id, .rows = spec.rows, .cols = spec.cols, .data = tensor->bytes.data()};
  if (IsInterleavedInGguf(config, spec.role)) source.rotary_head_dim = config.head_dim;
  if (spec.bias && source.rotary_head_dim > 0) std::swap(source.rows, source.cols);  // a vector of rows
  return source;
}

}  // namespace

std::optional<StoredAs> StoredFormatIn(const ModelFiles& files, const TensorSpec& spec) {
  if (files.gguf != nullptr) {
    const GgufTensor* tensor = files.gguf->Find(spec.gguf_name);
    return tensor == nullptr || tensor->format == nullptr ? std::nullopt : std::optional<StoredAs>(tensor->format->id);
  }
  if (const std::optional<GroupedView> view = FindGrouped(files, spec)) return StoredGrouped(*view);
  if (const std::optional<Nf4View> view = FindNf4(files, spec)) return StoredNf4(*view);
  const SafetensorsEntry* entry = FindEntry(files, spec.name);
  return entry == nullptr ? std::nullopt : std::optional<StoredAs>(FormatOf(entry->dtype));
}

TensorSource FindSource(const ModelFiles& files, const ModelConfig& config, const TensorSpec& spec) {
  return files.gguf != nullptr ? FromGguf(files, config, spec) : FromSafetensors(files, config, spec);
}

void TensorSource::ReadRow(size_t row, float* out) const {
  if (grouped.codes != nullptr) return grouped.DecodeRow(row, out);
  if (nf4.codes != nullptr) return nf4.DecodeRow(row, out);
  const Format& codec = GetFormat(format);
  if (transposed) {
    const size_t bytes = static_cast<size_t>(codec.block_bytes);
    for (size_t i = 0; i < cols; ++i) codec.decode_row(data + (i * rows + row) * bytes, out + i, 1);
    return;
  }
  if (scales != nullptr) {
    float scale;
    std::memcpy(&scale, scales + row * sizeof(float), sizeof(float));
    const auto* codes = reinterpret_cast<const int8_t*>(data) + row * cols;
    for (size_t i = 0; i < cols; ++i) out[i] = scale * static_cast<float>(codes[i]);
    return;
  }
  codec.decode_row(data + StoredRow(row) * codec.RowBytes(cols), out, cols);
}

// Codes of 4 bits or less as they are, with the scale and zero of each group; of 8 bits less the zero, which is 128.
void TensorSource::PlaceGroupedRow(size_t row, const MatrixView& view) const {
  static thread_local std::vector<std::byte> codes, pairs;
  codes.assign(view.stride_bytes, std::byte{0});
  pairs.assign(LayoutScaleBytes(view.layout, cols, view.group_shift), std::byte{0});
  const bool bytes = view.layout == Layout::kInt8Block;
  for (size_t i = 0; i < cols; ++i) {
    const unsigned code = grouped.Code(row, i);
    if (bytes)
      codes[i] = static_cast<std::byte>(code ^ 0x80);
    else
      codes[i / kBlock * 16 + i % 16] |= static_cast<std::byte>(code << (i % kBlock < 16 ? 0 : 4));
  }
  std::byte* at = pairs.data();
  for (size_t i = 0; i < cols; i += kBlock << view.group_shift) {
    const size_t group = grouped.GroupOf(i);
    const auto zero = static_cast<float>(bytes ? 0 : grouped.Zero(row, group));
    const uint16_t pair[] = {grouped.ScaleBits(row, group), FloatToF16(zero)};
    std::memcpy(at, pair, sizeof(pair));
    at += sizeof(pair);
  }
  PlaceRow(view, row, codes.data(), pairs.data());
}

void TensorSource::PlaceNf4Row(size_t row, const MatrixView& view) const {
  static thread_local std::vector<std::byte> codes, group_scales;
  codes.assign(view.stride_bytes, std::byte{0});
  group_scales.assign(LayoutScaleBytes(view.layout, cols, view.group_shift), std::byte{0});
  for (size_t i = 0; i < cols; ++i)
    codes[i / kBlock * 16 + i % 16] |= static_cast<std::byte>(nf4.Code(row * cols + i) << (i % kBlock < 16 ? 0 : 4));
  std::byte* at = group_scales.data();
  for (size_t i = 0; i < cols; i += kBlock << view.group_shift) {
    const float scale = nf4.Scale((row * cols + i) / nf4.block);
    std::memcpy(at, &scale, sizeof(scale));
    at += sizeof(scale);
  }
  PlaceRow(view, row, codes.data(), group_scales.data());
}

void TensorSource::PlaceIntegerRow(size_t row, const MatrixView& view) const {
  static thread_local std::vector<std::byte> codes, block_scales;
  codes.assign(view.stride_bytes, std::byte{0});  // kernels read whole blocks
  if (view.layout == Layout::kInt8Row) {
    std::memcpy(codes.data(), data + row * cols, cols);
    std::memcpy(const_cast<float*>(view.row_scales) + row, scales + row * sizeof(float), sizeof(float));
    return PlaceRow(view, row, codes.data(), nullptr);
  }
  block_scales.resize(LayoutScaleBytes(view.layout, cols, view.group_shift));
  RepackRow(format, data + StoredRow(row) * GetFormat(format).RowBytes(cols), cols, codes.data(), block_scales.data());
  PlaceRow(view, row, codes.data(), block_scales.data());
}

namespace {

void PlaceBF16Row(const std::vector<float>& values, size_t row, const MatrixView& view) {
  static thread_local std::vector<uint16_t> halves;
  halves.resize(values.size());
  ConvertToBF16(values.data(), halves.data(), values.size());
  PlaceRow(view, row, reinterpret_cast<const std::byte*>(halves.data()), nullptr);
}

}  // namespace

void TensorSource::CopyRow(size_t row, const MatrixView& view) const {
  if (IsInteger(view.layout)) {
    if (grouped.codes != nullptr) return PlaceGroupedRow(row, view);
    return nf4.codes != nullptr ? PlaceNf4Row(row, view) : PlaceIntegerRow(row, view);
  }
  auto* codes = const_cast<std::byte*>(view.codes) + row * view.stride_bytes;
  if (view.layout == Layout::kF16 && !transposed && data != nullptr) {
    std::memcpy(codes, data + StoredRow(row) * cols * 2, cols * 2);
    return;
  }
  if (view.layout == Layout::kF32 && view.rows == 1 && rotary_head_dim > 0) {  // a permuted bias: one value a "row"
    for (size_t i = 0; i < rows; ++i)
      GetFormat(format).decode_row(data + StoredRow(i) * static_cast<size_t>(GetFormat(format).block_bytes),
                                   reinterpret_cast<float*>(codes) + i, 1);
    return;
  }
  static thread_local std::vector<float> values;
  values.resize(cols);
  ReadRow(row, values.data());
  if (view.layout == Layout::kF32)
    std::memcpy(codes, values.data(), cols * sizeof(float));
  else if (view.layout == Layout::kBF16Tile)
    PlaceBF16Row(values, row, view);
  else if (view.layout == Layout::kF16)
    ConvertToF16(values.data(), reinterpret_cast<uint16_t*>(codes), cols);
  else
    QAD_CHECK(false);
}

}  // namespace qad
