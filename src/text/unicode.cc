#include "text/unicode.h"

#include <utf8proc.h>

#include <vector>

namespace qad {
namespace {

// Length of the well-formed sequence at `at`, or minus the length of the ill-formed part (Unicode 15, table 3-7).
int SequenceLength(std::string_view text, size_t at) {
  const auto byte = [&](size_t i) { return at + i < text.size() ? static_cast<unsigned char>(text[at + i]) : 0u; };
  const auto within = [&](size_t i, unsigned low, unsigned high) { return byte(i) >= low && byte(i) <= high; };
  const unsigned first = byte(0);
  if (first < 0x80) return 1;
  if (first >= 0xC2 && first <= 0xDF) return within(1, 0x80, 0xBF) ? 2 : -1;
  if (first >= 0xE0 && first <= 0xEF) {
    if (!within(1, first == 0xE0 ? 0xA0 : 0x80, first == 0xED ? 0x9F : 0xBF)) return -1;
    return within(2, 0x80, 0xBF) ? 3 : -2;
  }
  if (first >= 0xF0 && first <= 0xF4) {
    if (!within(1, first == 0xF0 ? 0x90 : 0x80, first == 0xF4 ? 0x8F : 0xBF)) return -1;
    if (!within(2, 0x80, 0xBF)) return -2;
    return within(3, 0x80, 0xBF) ? 4 : -3;
  }
  return -1;
}

std::vector<int32_t> CodePoints(std::string_view text) {
  std::vector<int32_t> out;
  const std::string clean = ReplaceInvalidUtf8(text);
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(clean.data());
  auto left = static_cast<utf8proc_ssize_t>(clean.size());
  while (left > 0) {
    utf8proc_int32_t code = 0;
    const auto used = utf8proc_iterate(at, left, &code);
    if (used <= 0) break;
    out.push_back(code);
    at += used;
    left -= used;
  }
  return out;
}

bool IsPunctuation(int32_t code) {
  switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
    case UTF8PROC_CATEGORY_SM:
    case UTF8PROC_CATEGORY_SK:
      return true;
    default:
      return false;
  }
}

bool IsDigit(int32_t code) { return code >= '0' && code <= '9'; }

bool IsSpace(int32_t code) {
  return code == ' ' || (code >= '\t' && code <= '\r') || utf8proc_category(code) == UTF8PROC_CATEGORY_ZS ||
         utf8proc_category(code) == UTF8PROC_CATEGORY_ZL || utf8proc_category(code) == UTF8PROC_CATEGORY_ZP;
}

}  // namespace

void AppendUtf8(uint32_t code, std::string& out) {
  const auto push = [&](uint32_t byte) { out.push_back(static_cast<char>(byte)); };
  if (code < 0x80) {
    push(code);
  } else if (code < 0x800) {
    push(0xC0 | (code >> 6));
    push(0x80 | (code & 63));
  } else if (code < 0x10000) {
    push(0xE0 | (code >> 12));
    push(0x80 | ((code >> 6) & 63));
    push(0x80 | (code & 63));
  } else {
    push(0xF0 | (code >> 18));
    push(0x80 | ((code >> 12) & 63));
    push(0x80 | ((code >> 6) & 63));
    push(0x80 | (code & 63));
  }
}

std::string ReplaceInvalidUtf8(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const int length = SequenceLength(text, at);
    if (length > 0)
      out.append(text.substr(at, static_cast<size_t>(length)));
    else
      out.append("\xEF\xBF\xBD");
    at += static_cast<size_t>(length > 0 ? length : -length);
  }
  return out;
}

bool IsValidUtf8(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const int length = SequenceLength(text, at);
    if (length < 0) return false;
    at += static_cast<size_t>(length);
  }
  return true;
}

std::string LowerCase(std::string_view text) {
  std::string out;
  for (const int32_t code : CodePoints(text)) AppendUtf8(static_cast<uint32_t>(utf8proc_tolower(code)), out);
  return out;
}

std::string NormalizeAnswer(std::string_view text) {
  const std::vector<int32_t> codes = CodePoints(LowerCase(text));
  std::string spaced;
  for (size_t i = 0; i < codes.size(); ++i) {
    const bool inside_number = (codes[i] == '.' || codes[i] == ',') && i > 0 && i + 1 < codes.size() &&
                               IsDigit(codes[i - 1]) && IsDigit(codes[i + 1]);
    // An apostrophe joins ("don't" → "dont"); a dash or other mark separates words.
    if (codes[i] == '\'' || codes[i] == 0x2019) continue;
    if (inside_number && codes[i] == ',') continue;  // 1,000 is 1000
    if ((IsPunctuation(codes[i]) && !inside_number) || IsSpace(codes[i]))
      spaced.push_back(' ');
    else
      AppendUtf8(static_cast<uint32_t>(codes[i]), spaced);
  }
  std::string out;
  for (size_t at = 0; at < spaced.size();) {
    const size_t end = std::min(spaced.find(' ', at), spaced.size());
    const std::string_view word(spaced.data() + at, end - at);
    if (!word.empty() && word != "a" && word != "an" && word != "the") {
      if (!out.empty()) out.push_back(' ');
      out.append(word);
    }
    at = end + 1;
  }
  return out;
}

}  // namespace qad
