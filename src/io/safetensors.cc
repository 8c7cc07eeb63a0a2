#include "io/safetensors.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <tuple>

#include "base/error.h"
#include "base/half.h"
#include "base/json.h"
#include "io/bytes.h"

namespace qad {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;
constexpr int64_t kMaxInteger = int64_t{1} << 53;  // what the format's JSON numbers can carry everywhere

struct DTypeRow {
  DType dtype;
  std::string_view name;
  size_t bytes;
};
constexpr std::array<DTypeRow, 15> kDTypes = {{
    {DType::kU64, "U64", 8},
    {DType::kI64, "I64", 8},
    {DType::kF64, "F64", 8},
    {DType::kF32, "F32", 4},
    {DType::kU32, "U32", 4},
    {DType::kI32, "I32", 4},
    {DType::kBF16, "BF16", 2},
    {DType::kF16, "F16", 2},
    {DType::kU16, "U16", 2},
    {DType::kI16, "I16", 2},
    {DType::kF8E4M3, "F8_E4M3", 1},
    {DType::kF8E5M2, "F8_E5M2", 1},
    {DType::kI8, "I8", 1},
    {DType::kU8, "U8", 1},
    {DType::kBool, "BOOL", 1},
}};

DType ParseDType(const std::string& name, const std::string& where) {
  for (const DTypeRow& row : kDTypes)
    if (row.name == name) return row.dtype;
  FailInput("{}: dtype \"{}\" is not known", where, name);
}

std::vector<int64_t> ParseShape(const JsonObject& json) {
  const Json& list = json.At("shape");
  if (!list.is_array()) FailInput("{}: \"shape\" must be a list", json.where());
  std::vector<int64_t> shape;
  for (const Json& dim : list) {
    if (!dim.is_number_unsigned() || dim.get<uint64_t>() > static_cast<uint64_t>(kMaxInteger))
      FailInput("{}: a dimension must be a whole number, 0 or more", json.where());
    shape.push_back(dim.get<int64_t>());
  }
  return shape;
}

struct Range {
  uint64_t begin, end;
  std::string name;
};

Range ParseOffsets(const JsonObject& json, const std::string& name) {
  const Json& list = json.At("data_offsets");
  if (!list.is_array() || list.size() != 2 || !list[0].is_number_unsigned() || !list[1].is_number_unsigned())
    FailInput("{}: \"data_offsets\" must be two whole numbers", json.where());
  return {list[0].get<uint64_t>(), list[1].get<uint64_t>(), name};
}

// Contiguous from 0 to the end of the file: no holes, no overlaps.
void CheckRanges(std::vector<Range> ranges, uint64_t data_bytes, const std::string& where) {
  std::ranges::sort(
      ranges, [](const Range& a, const Range& b) { return std::pair(a.begin, a.end) < std::pair(b.begin, b.end); });
  uint64_t at = 0;
  for (const Range& range : ranges) {
    if (range.begin != at)
      FailInput("{}: tensor \"{}\" begins at data offset {}, where {} was expected; the data has a hole or an overlap",
                where, range.name, range.begin, at);
    at = range.end;
  }
  if (at != data_bytes)
    FailInput("{}: tensors end at data offset {}, the file's data at {}; the file is truncated or has bytes too many",
              where, at, data_bytes);
}

template <typename T>
std::vector<float> Widen(std::span<const std::byte> bytes) {
  std::vector<float> out(bytes.size() / sizeof(T));
  for (size_t i = 0; i < out.size(); ++i) {
    T value;
    std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
    out[i] = static_cast<float>(value);
  }
  return out;
}

template <float (*kConvert)(uint16_t)>
std::vector<float> WidenHalf(std::span<const std::byte> bytes) {
  std::vector<float> out(bytes.size() / 2);
  for (size_t i = 0; i < out.size(); ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes.data() + i * 2, 2);
    out[i] = kConvert(bits);
  }
  return out;
}

}  // namespace

size_t DTypeBytes(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].bytes; }
std::string_view DTypeName(DType dtype) { return kDTypes[static_cast<size_t>(dtype)].name; }

int64_t SafetensorsEntry::Elements() const { return static_cast<int64_t>(bytes.size() / DTypeBytes(dtype)); }

SafetensorsFile::SafetensorsFile(const std::filesystem::path& path) : file_(path) {
  const std::string where = path.string();
  ByteReader reader(file_.bytes(), where);
  const auto header_bytes = reader.Read<uint64_t>("the header's length");
  if (header_bytes > kMaxHeader)
    FailInput("{}: offset 0: header length {} exceeds {}", where, header_bytes, kMaxHeader);
  const auto header = reader.Take(header_bytes, "the header");
  const std::string_view text(reinterpret_cast<const char*>(header.data()), header.size());
  if (!text.starts_with('{'))
    FailInput("{}: offset 8: the header does not begin with '{{'; is this a safetensors file?", where);
  const Json root = ParseJson(text, where + ": header");
  const auto data = file_.bytes().subspan(reader.offset());
  std::vector<Range> ranges;
  for (const auto& [name, value] : root.items()) {
    const JsonObject json(value, fmt::format("{}: tensor \"{}\"", where, name));
    if (name == "__metadata__") {
      for (const auto& [key, entry] : value.items()) {
        if (!entry.is_string()) FailInput("{}: __metadata__ \"{}\" must be a string", where, key);
        metadata_[key] = entry.get<std::string>();
      }
      continue;
    }
    if (name.empty()) FailInput("{}: a tensor without a name", where);
    const DType dtype = ParseDType(json.String("dtype"), json.where());
    std::vector<int64_t> shape = ParseShape(json);
    const Range range = ParseOffsets(json, name);
    const uint64_t bytes = CheckedProduct(shape, DTypeBytes(dtype), json.where());
    if (range.begin > range.end || range.end > data.size())
      FailInput("{}: data_offsets {}..{} lie outside the {} bytes of data; the file is truncated or damaged",
                json.where(), range.begin, range.end, data.size());
    if (range.end - range.begin != bytes)
      FailInput("{}: data_offsets hold {} bytes, its shape and dtype say {}", json.where(), range.end - range.begin,
                bytes);
    tensors_.emplace(name, SafetensorsEntry{dtype, std::move(shape), data.subspan(range.begin, bytes),
                                            reader.offset() + range.begin});
    ranges.push_back(range);
  }
  CheckRanges(std::move(ranges), data.size(), where);
}

const SafetensorsEntry& SafetensorsFile::At(const std::string& name) const {
  const auto found = tensors_.find(name);
  if (found == tensors_.end()) FailInput("{}: tensor \"{}\" is missing", path().string(), name);
  return found->second;
}

std::vector<float> ToFloats(const SafetensorsEntry& entry) {
  switch (entry.dtype) {
    case DType::kF64:
      return Widen<double>(entry.bytes);
    case DType::kF32:
      return Widen<float>(entry.bytes);
    case DType::kF16:
      return WidenHalf<F16ToFloat>(entry.bytes);
    case DType::kBF16:
      return WidenHalf<BF16ToFloat>(entry.bytes);
    case DType::kI64:
      return Widen<int64_t>(entry.bytes);
    case DType::kU64:
      return Widen<uint64_t>(entry.bytes);
    case DType::kI32:
      return Widen<int32_t>(entry.bytes);
    case DType::kU32:
      return Widen<uint32_t>(entry.bytes);
    case DType::kI16:
      return Widen<int16_t>(entry.bytes);
    case DType::kU16:
      return Widen<uint16_t>(entry.bytes);
    case DType::kI8:
      return Widen<int8_t>(entry.bytes);
    case DType::kU8:
    case DType::kBool:
      return Widen<uint8_t>(entry.bytes);
    case DType::kF8E4M3:
    case DType::kF8E5M2:
      break;
  }
  FailInput("a tensor of dtype {} cannot be read as numbers by this version", DTypeName(entry.dtype));
}

namespace {

uint64_t TensorBytes(const TensorToWrite& tensor) {
  return CheckedProduct(tensor.shape, DTypeBytes(tensor.dtype), tensor.name);
}

}  // namespace

void WriteSafetensors(const std::filesystem::path& path, std::vector<TensorToWrite> tensors,
                      const std::map<std::string, std::string>& metadata) {
  std::ranges::sort(tensors, [](const TensorToWrite& a, const TensorToWrite& b) {
    return std::tie(a.dtype, a.name) < std::tie(b.dtype, b.name);
  });
  OrderedJson header = OrderedJson::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  uint64_t at = 0;
  for (const TensorToWrite& tensor : tensors) {
    const uint64_t bytes = TensorBytes(tensor);
    QAD_CHECK(!header.contains(tensor.name));
    header[tensor.name] = {
        {"dtype", DTypeName(tensor.dtype)}, {"shape", tensor.shape}, {"data_offsets", {at, at + bytes}}};
    at += bytes;
  }
  std::string text = header.dump();
  text.append((8 - text.size() % 8) % 8, ' ');
  const auto length = static_cast<uint64_t>(text.size());
  AtomicFile file(path);
  file.Write(&length, sizeof(length));
  file.Write(text);
  for (const TensorToWrite& tensor : tensors) {
    const auto bytes = tensor.make ? tensor.make() : tensor.bytes;
    QAD_CHECK(bytes.size() == TensorBytes(tensor));
    file.Write(bytes.data(), bytes.size());
  }
  file.Commit();
}

}  // namespace qad
