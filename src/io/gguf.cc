#include "io/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <optional>
#include <set>

#include "base/error.h"
#include "io/bytes.h"

namespace qad {
namespace {

constexpr uint64_t kMaxKey = 65535, kMaxName = 63;
constexpr uint32_t kMaxDims = 4;
constexpr int kMaxNesting = 1;  // an array of arrays has no use in a model file
constexpr uint64_t kMaxAlignment = uint64_t{1} << 20;

enum class ValueType : uint32_t {
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
  kCount
};

struct TypeName {
  uint32_t type;
  std::string_view name;
  uint64_t block, bytes;  // 0: size not known to this build
};
// ggml.h, enum ggml_type; sizes from ggml-common.h, to check the extent of tensors that this build cannot decode.
constexpr std::array<TypeName, 34> kTypes = {{
    {0, "F32", 1, 4},         {1, "F16", 1, 2},         {2, "Q4_0", 32, 18},      {3, "Q4_1", 32, 20},
    {6, "Q5_0", 32, 22},      {7, "Q5_1", 32, 24},      {8, "Q8_0", 32, 34},      {9, "Q8_1", 32, 36},
    {10, "Q2_K", 256, 84},    {11, "Q3_K", 256, 110},   {12, "Q4_K", 256, 144},   {13, "Q5_K", 256, 176},
    {14, "Q6_K", 256, 210},   {15, "Q8_K", 256, 292},   {16, "IQ2_XXS", 256, 66}, {17, "IQ2_XS", 256, 74},
    {18, "IQ3_XXS", 256, 98}, {19, "IQ1_S", 256, 50},   {20, "IQ4_NL", 32, 18},   {21, "IQ3_S", 256, 110},
    {22, "IQ2_S", 256, 82},   {23, "IQ4_XS", 256, 136}, {24, "I8", 1, 1},         {25, "I16", 1, 2},
    {26, "I32", 1, 4},        {27, "I64", 1, 8},        {28, "F64", 1, 8},        {29, "IQ1_M", 256, 56},
    {30, "BF16", 1, 2},       {34, "TQ1_0", 256, 54},   {35, "TQ2_0", 256, 66},   {39, "MXFP4", 32, 17},
    {40, "NVFP4", 64, 36},    {41, "Q1_0", 128, 18},
}};

const TypeName* FindType(uint32_t type) {
  for (const TypeName& row : kTypes)
    if (row.type == type) return &row;
  return nullptr;
}

// Reads the header; counts and lengths are never trusted beyond the bytes that remain.
class HeaderReader {
 public:
  explicit HeaderReader(ByteReader& in) : in_(in) {}

  std::string String(const char* field, uint64_t limit = UINT64_MAX) {
    const auto length = in_.Read<uint64_t>(field);
    if (length > limit) Wrong(fmt::format("{} has {} bytes, at most {} are allowed", field, length, limit));
    const auto bytes = in_.Take(length, field);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  GgufValue Value(const std::string& key) { return Value(key, in_.Read<uint32_t>("a value's type")); }

  [[noreturn]] void Wrong(const std::string& message) const {
    FailInput("{}: offset {}: {}", in_.where(), in_.offset(), message);
  }

 private:
  GgufValue Value(const std::string& key, uint32_t type) {
    switch (static_cast<ValueType>(type)) {
      case ValueType::kU8:
        return int64_t{in_.Read<uint8_t>("a u8")};
      case ValueType::kI8:
        return int64_t{in_.Read<int8_t>("an i8")};
      case ValueType::kU16:
        return int64_t{in_.Read<uint16_t>("a u16")};
      case ValueType::kI16:
        return int64_t{in_.Read<int16_t>("an i16")};
      case ValueType::kU32:
        return int64_t{in_.Read<uint32_t>("a u32")};
      case ValueType::kI32:
        return int64_t{in_.Read<int32_t>("an i32")};
      case ValueType::kI64:
        return in_.Read<int64_t>("an i64");
      case ValueType::kU64:
        return in_.Read<uint64_t>("a u64");
      case ValueType::kF32:
        return double{in_.Read<float>("an f32")};
      case ValueType::kF64:
        return in_.Read<double>("an f64");
      case ValueType::kBool:
        return Bool();
      case ValueType::kString:
        return String("a string");
      case ValueType::kArray:
        return Array(key);
      case ValueType::kCount:
        break;
    }
    Wrong(fmt::format("\"{}\" has value type {}, which GGUF does not know", key, type));
  }

  bool Bool() {
    const auto byte = in_.Read<uint8_t>("a bool");
    if (byte > 1) Wrong(fmt::format("a bool is {}, not 0 or 1", byte));
    return byte == 1;
  }

  template <typename T, typename Wide>
  std::vector<Wide> Numbers(uint64_t count) {
    const auto bytes = in_.Take(count * sizeof(T), "an array");  // count was checked against what remains
    std::vector<Wide> out(count);
    for (uint64_t i = 0; i < count; ++i) {
      T value;
      std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
      out[i] = static_cast<Wide>(value);
    }
    return out;
  }

  GgufValue Array(const std::string& key) {
    const auto type = in_.Read<uint32_t>("an array's type");
    const auto count = in_.Read<uint64_t>("an array's length");
    // The smallest element takes one byte, a string eight.
    const uint64_t least = static_cast<ValueType>(type) == ValueType::kString ? 8 : 1;
    if (count > in_.remaining() / least)
      Wrong(fmt::format("\"{}\" is an array of {} values, but only {} bytes remain", key, count, in_.remaining()));
    switch (static_cast<ValueType>(type)) {
      case ValueType::kU8:
        return Numbers<uint8_t, int64_t>(count);
      case ValueType::kI8:
        return Numbers<int8_t, int64_t>(count);
      case ValueType::kBool: {
        std::vector<int64_t> bools(count);
        for (int64_t& value : bools) value = Bool();
        return bools;
      }
      case ValueType::kU16:
        return Numbers<uint16_t, int64_t>(count);
      case ValueType::kI16:
        return Numbers<int16_t, int64_t>(count);
      case ValueType::kU32:
        return Numbers<uint32_t, int64_t>(count);
      case ValueType::kI32:
        return Numbers<int32_t, int64_t>(count);
      case ValueType::kU64:
        return Numbers<uint64_t, int64_t>(count);
      case ValueType::kI64:
        return Numbers<int64_t, int64_t>(count);
      case ValueType::kF32:
        return Numbers<float, double>(count);
      case ValueType::kF64:
        return Numbers<double, double>(count);
      case ValueType::kString: {
        std::vector<std::string> strings;
        strings.reserve(count);
        for (uint64_t i = 0; i < count; ++i) strings.push_back(String("a string of an array"));
        return strings;
      }
      case ValueType::kArray:
        Wrong(fmt::format("\"{}\" is an array of arrays, deeper than {} level", key, kMaxNesting));
      case ValueType::kCount:
        break;
    }
    Wrong(fmt::format("\"{}\" is an array of type {}, which GGUF does not know", key, type));
  }

  ByteReader& in_;
};

struct Declared {
  GgufTensor tensor;
  uint64_t relative = 0, bytes = 0;
};

Declared ReadTensorInfo(HeaderReader& header, ByteReader& in) {
  Declared declared;
  GgufTensor& tensor = declared.tensor;
  tensor.name = header.String("a tensor's name", kMaxName);
  if (tensor.name.empty()) header.Wrong("a tensor without a name");
  const std::string what = fmt::format("{}: tensor \"{}\"", in.where(), tensor.name);
  const auto dims = in.Read<uint32_t>("a tensor's rank");
  if (dims == 0 || dims > kMaxDims)
    FailInput("{}: offset {}: rank {}, GGUF has 1 to {}", what, in.offset(), dims, kMaxDims);
  for (uint32_t i = 0; i < dims; ++i) {
    const auto n = in.Read<uint64_t>("a dimension");
    if (n == 0 || n >> 63 != 0)
      FailInput("{}: offset {}: dimension {} is {}", what, in.offset(), i, static_cast<int64_t>(n));
    tensor.shape.insert(tensor.shape.begin(), static_cast<int64_t>(n));
  }
  tensor.type = in.Read<uint32_t>("a tensor's type");
  tensor.format = FindGgufFormat(tensor.type);
  declared.relative = in.Read<uint64_t>("a tensor's offset");
  const TypeName* type = FindType(tensor.type);
  if (type == nullptr) FailInput("{}: type {} is not known to this version", what, tensor.type);
  const auto cols = static_cast<uint64_t>(tensor.shape.back());
  if (cols % type->block != 0)
    FailInput("{}: rows of {} values do not divide into {} blocks of {}", what, cols, type->name, type->block);
  const std::span<const int64_t> outer(tensor.shape.data(), tensor.shape.size() - 1);
  (void)CheckedProduct(tensor.shape, 4, what);
  declared.bytes = CheckedProduct(outer, cols / type->block * type->bytes, what);
  return declared;
}

void CheckOverlaps(std::vector<const Declared*> by_offset, const std::string& where) {
  std::ranges::sort(by_offset, {}, [](const Declared* d) { return d->relative; });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const Declared &a = *by_offset[i - 1], &b = *by_offset[i];
    if (a.relative + a.bytes > b.relative)
      FailInput("{}: tensors \"{}\" and \"{}\" overlap", where, a.tensor.name, b.tensor.name);
  }
}

uint64_t ReadAlignment(const GgufFile& file, const std::string& where) {
  const int64_t alignment = file.IntOr("general.alignment", INT64_MIN, INT64_MAX, 32);
  if (alignment <= 0 || alignment > static_cast<int64_t>(kMaxAlignment) ||
      !std::has_single_bit(static_cast<uint64_t>(alignment)))
    FailInput("{}: general.alignment is {}; expected a power of two up to {}", where, alignment, kMaxAlignment);
  return static_cast<uint64_t>(alignment);
}

}  // namespace

std::string GgufTypeName(uint32_t type) {
  const TypeName* row = FindType(type);
  return row != nullptr ? std::string(row->name) : fmt::format("type {}", type);
}

GgufFile::GgufFile(const std::filesystem::path& path, Read read) : file_(path) {
  const std::string where = path.string();
  ByteReader in(file_.bytes(), where);
  HeaderReader header(in);
  if (in.remaining() < 4 || std::memcmp(file_.bytes().data(), "GGUF", 4) != 0)
    FailInput("{}: offset 0: the file does not begin with \"GGUF\"", where);
  in.Take(4, "the magic");
  version_ = in.Read<uint32_t>("the version");
  if (version_ == 0x03000000u || version_ == 0x02000000u)
    FailInput("{}: is a big-endian GGUF file; this version reads little-endian ones", where);
  if (version_ != 2 && version_ != 3)
    FailInput("{}: offset 4: GGUF version {}; this version reads 2 and 3", where, version_);
  const auto tensor_count = in.Read<uint64_t>("the number of tensors");
  const auto key_count = in.Read<uint64_t>("the number of keys");
  // A tensor's entry takes at least 8+1+4+8+4+8 bytes, a key's 8+1+4+1.
  if (tensor_count > in.remaining() / 33)
    FailInput("{}: offset 8: {} tensors cannot fit in {} bytes", where, tensor_count, in.remaining());
  if (key_count > in.remaining() / 14)
    FailInput("{}: offset 16: {} keys cannot fit in {} bytes", where, key_count, in.remaining());
  for (uint64_t i = 0; i < key_count; ++i) {
    const std::string key = header.String("a key", kMaxKey);
    if (key.empty()) header.Wrong("an empty key");
    const uint64_t begin = in.offset();
    if (!metadata_.emplace(key, header.Value(key)).second) header.Wrong(fmt::format("duplicate key \"{}\"", key));
    keys_.push_back({key, file_.bytes().subspan(begin, in.offset() - begin)});
  }
  const uint64_t alignment = ReadAlignment(*this, where);
  std::vector<Declared> declared;
  std::set<std::string> names;
  for (uint64_t i = 0; i < tensor_count; ++i) {
    declared.push_back(ReadTensorInfo(header, in));
    if (!names.insert(declared.back().tensor.name).second)
      header.Wrong(fmt::format("duplicate tensor \"{}\"", declared.back().tensor.name));
  }
  const uint64_t data_at = (in.offset() + alignment - 1) / alignment * alignment;
  const uint64_t size = file_.bytes().size(), data_bytes = size > data_at ? size - data_at : 0;
  std::vector<const Declared*> by_offset;
  for (Declared& d : declared) {
    if (d.relative % alignment != 0)
      FailInput("{}: tensor \"{}\": offset {} is not a multiple of the alignment {}", where, d.tensor.name, d.relative,
                alignment);
    const bool inside = d.relative <= data_bytes && d.bytes <= data_bytes - d.relative;
    if (!inside && read == Read::kWhole)
      FailInput(
          "{}: tensor \"{}\": {} bytes at offset {} lie beyond the end of the file ({} bytes); the file is truncated "
          "or damaged",
          where, d.tensor.name, d.bytes, data_at + d.relative, size);
    d.tensor.offset = data_at + d.relative;
    if (inside) d.tensor.bytes = file_.bytes().subspan(d.tensor.offset, d.bytes);
    complete_ = complete_ && inside;
    by_offset.push_back(&d);
  }
  CheckOverlaps(by_offset, where);
  for (Declared& d : declared) tensors_.push_back(std::move(d.tensor));
}

const GgufTensor* GgufFile::Find(std::string_view name) const {
  for (const GgufTensor& tensor : tensors_)
    if (tensor.name == name) return &tensor;
  return nullptr;
}

namespace {

[[noreturn]] void WrongKey(const GgufFile& file, const std::string& key, const std::string& expected) {
  FailInput("{}: \"{}\" {}; expected {}", file.path().string(), key,
            file.Has(key) ? "has another type or is out of range" : "is missing", expected);
}

template <typename T>
const T* Get(const GgufFile& file, const std::string& key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? nullptr : std::get_if<T>(&found->second);
}

}  // namespace

int64_t GgufFile::Int(const std::string& key, int64_t low, int64_t high) const {
  const std::string expected = fmt::format("a whole number from {} to {}", low, high);
  std::optional<int64_t> value;
  if (const auto* i = Get<int64_t>(*this, key)) value = *i;
  if (const auto* u = Get<uint64_t>(*this, key); u != nullptr && *u >> 63 == 0) value = static_cast<int64_t>(*u);
  // Some writers give a list with one value per layer; it is one number where all are equal.
  if (const auto* list = Get<std::vector<int64_t>>(*this, key);
      list != nullptr && !list->empty() &&
      std::ranges::count(*list, list->front()) == static_cast<int64_t>(list->size()))
    value = list->front();
  if (!value || *value < low || *value > high) WrongKey(*this, key, expected);
  return *value;
}

int64_t GgufFile::IntOr(const std::string& key, int64_t low, int64_t high, int64_t otherwise) const {
  return Has(key) ? Int(key, low, high) : otherwise;
}

double GgufFile::NumberOr(const std::string& key, double otherwise) const {
  if (!Has(key)) return otherwise;
  const auto* value = Get<double>(*this, key);
  if (value == nullptr || !std::isfinite(*value)) WrongKey(*this, key, "a finite number");
  return *value;
}

bool GgufFile::BoolOr(const std::string& key, bool otherwise) const {
  if (!Has(key)) return otherwise;
  const auto* value = Get<bool>(*this, key);
  if (value == nullptr) WrongKey(*this, key, "true or false");
  return *value;
}

std::string GgufFile::String(const std::string& key) const {
  const auto* value = Get<std::string>(*this, key);
  if (value == nullptr) WrongKey(*this, key, "a string");
  return *value;
}

std::string GgufFile::StringOr(const std::string& key, const std::string& otherwise) const {
  return Has(key) ? String(key) : otherwise;
}

const std::vector<std::string>& GgufFile::Strings(const std::string& key) const {
  const auto* value = Get<std::vector<std::string>>(*this, key);
  if (value == nullptr) WrongKey(*this, key, "a list of strings");
  return *value;
}

std::vector<int64_t> GgufFile::Ints(const std::string& key) const {
  const auto* value = Get<std::vector<int64_t>>(*this, key);
  if (value == nullptr) WrongKey(*this, key, "a list of whole numbers");
  return *value;
}

}  // namespace qad
