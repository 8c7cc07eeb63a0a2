#include "formats/format.h"

#include <algorithm>
#include <array>

#include "base/error.h"
#include "formats/codecs.h"

namespace qad {
namespace {

constexpr std::array kFormats = {kFormatF32,  kFormatF16,  kFormatBF16,       kFormatInt8, kFormatQ8_0,
                                 kFormatQ4_0, kFormatQ4_1, kFormatQ5_0,       kFormatQ5_1, kFormatQ2_K,
                                 kFormatQ3_K, kFormatQ4_K, kFormatQ5_K,       kFormatQ6_K, kFormatIQ4_NL,
                                 kFormatGptq, kFormatAwq,  kFormatCompressed, kFormatNf4};

bool EqualIgnoringCase(std::string_view a, std::string_view b) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  return std::ranges::equal(a, b, {}, lower, lower);
}

}  // namespace

std::span<const Format> AllFormats() { return kFormats; }

const Format& GetFormat(FormatId id) {
  const Format& format = kFormats[static_cast<size_t>(id)];
  QAD_CHECK(format.id == id);
  return format;
}

const Format* FindFormat(std::string_view name) {
  for (const Format& format : kFormats)
    if (EqualIgnoringCase(format.name, name)) return &format;
  return nullptr;
}

const Format* FindGgufFormat(uint32_t gguf_type) {
  for (const Format& format : kFormats)
    if (format.gguf_type >= 0 && static_cast<uint32_t>(format.gguf_type) == gguf_type) return &format;
  return nullptr;
}

}  // namespace qad
