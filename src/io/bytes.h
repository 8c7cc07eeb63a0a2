// A cursor over bytes from outside: every read is checked against what remains, every error says where.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>

#include "base/error.h"

namespace qad {

class ByteReader {
 public:
  // `where` is the file's name, for messages.
  ByteReader(std::span<const std::byte> bytes, std::string where) : bytes_(bytes), where_(std::move(where)) {}

  size_t offset() const { return offset_; }
  size_t remaining() const { return bytes_.size() - offset_; }
  const std::string& where() const { return where_; }

  // `field` names what is read, for messages.
  template <typename T>
  T Read(const char* field) {
    T value;
    std::memcpy(&value, Take(sizeof(T), field).data(), sizeof(T));
    return value;
  }

  std::span<const std::byte> Take(uint64_t size, const char* field) {
    if (size > remaining())
      FailInput("{}: offset {}: {} needs {} bytes, {} remain; the file is truncated or damaged", where_, offset_, field,
                size, remaining());
    const auto taken = bytes_.subspan(offset_, static_cast<size_t>(size));
    offset_ += static_cast<size_t>(size);
    return taken;
  }

 private:
  std::span<const std::byte> bytes_;
  std::string where_;
  size_t offset_ = 0;
};

// Product of dimensions times `unit`, or an error naming `what` where it would not fit 63 bits.
inline uint64_t CheckedProduct(std::span<const int64_t> dims, uint64_t unit, const std::string& what) {
  uint64_t product = unit;
  bool zero = false;
  for (const int64_t n : dims) {
    if (n < 0) FailInput("{}: negative dimension {}", what, n);
    if (n == 0)
      zero = true;
    else if (__builtin_mul_overflow(product, static_cast<uint64_t>(n), &product) || product >> 63 != 0)
      FailInput("{}: the product of its dimensions is too large", what);
  }
  return zero ? 0 : product;
}

}  // namespace qad
