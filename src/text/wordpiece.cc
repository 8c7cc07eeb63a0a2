#include "text/wordpiece.h"

#include <utf8proc.h>

#include <algorithm>
#include <array>
#include <utility>

#include "base/error.h"
#include "base/json.h"
#include "text/unicode.h"

namespace qad {
namespace {

constexpr int64_t kMostTokens = 1 << 24;
constexpr std::string_view kInside = "##";
constexpr utf8proc_int32_t kReplacement = 0xFFFD;

bool IsSpace(utf8proc_int32_t code) {
  if (code == ' ' || (code >= '\t' && code <= '\r') || code == 0x85) return true;
  const auto category = utf8proc_category(code);
  return category == UTF8PROC_CATEGORY_ZS || category == UTF8PROC_CATEGORY_ZL || category == UTF8PROC_CATEGORY_ZP;
}

// What cleaning takes out; tab and line ends are white space.
bool IsControl(utf8proc_int32_t code) {
  if (code == '\t' || code == '\n' || code == '\r') return false;
  const auto category = utf8proc_category(code);
  return category == UTF8PROC_CATEGORY_CC || category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CN ||
         category == UTF8PROC_CATEGORY_CO || category == UTF8PROC_CATEGORY_CS;
}

bool IsPunctuation(utf8proc_int32_t code) {
  if (code < 128)
    return (code > ' ' && code < '0') || (code > '9' && code < 'A') || (code > 'Z' && code < 'a') ||
           (code > 'z' && code < 127);
  switch (utf8proc_category(code)) {
    case UTF8PROC_CATEGORY_PC:
    case UTF8PROC_CATEGORY_PD:
    case UTF8PROC_CATEGORY_PS:
    case UTF8PROC_CATEGORY_PE:
    case UTF8PROC_CATEGORY_PI:
    case UTF8PROC_CATEGORY_PF:
    case UTF8PROC_CATEGORY_PO:
      return true;
    default:
      return false;
  }
}

// The blocks of ideographs that BERT splits around; kana and hangul are words as others are.
bool IsCjk(utf8proc_int32_t code) {
  struct Range {
    utf8proc_int32_t first, last;
  };
  static constexpr Range kRanges[] = {{0x4E00, 0x9FFF},   {0x3400, 0x4DBF},   {0x20000, 0x2A6DF}, {0x2A700, 0x2B73F},
                                      {0x2B740, 0x2B81F}, {0x2B920, 0x2CEAF}, {0xF900, 0xFAFF},   {0x2F800, 0x2FA1F}};
  return std::ranges::any_of(kRanges, [&](const Range& range) { return code >= range.first && code <= range.last; });
}

TokenId SpecialToken(const JsonObject& post, size_t place, const char* which) {
  const Json& pieces = post.At("single");
  if (!pieces.is_array() || pieces.size() != 3)
    FailInput("{}: puts other tokens around a text than [CLS] and [SEP]", post.where());
  const JsonObject piece(pieces[place], fmt::format("{}: single[{}]", post.where(), place));
  const std::string id = piece.Object("SpecialToken").String("id");
  const JsonObject token = post.Object("special_tokens").Object(id);
  const Json& ids = token.At("ids");
  if (!ids.is_array() || ids.size() != 1 || !ids[0].is_number_integer())
    FailInput("{}: {} is not one token", token.where(), which);
  return static_cast<TokenId>(ids[0].get<int64_t>());
}

void RequireType(const JsonObject& tokenizer, const char* part, const char* type) {
  const std::string found = tokenizer.Has(part) ? tokenizer.Object(part).String("type") : "none";
  if (found != type) FailInput("{}: {} is {}; encoders are run with BERT's {}", tokenizer.where(), part, found, type);
}

}  // namespace

WordPiece WordPiece::FromTokenizerJson(const std::filesystem::path& path) {
  const Json root = ReadJsonFile(path);
  const JsonObject json(root, path.string());
  for (const auto& [part, type] :
       {std::pair("model", "WordPiece"), std::pair("normalizer", "BertNormalizer"),
        std::pair("pre_tokenizer", "BertPreTokenizer"), std::pair("post_processor", "TemplateProcessing")})
    RequireType(json, part, type);
  const JsonObject model = json.Object("model"), normalizer = json.Object("normalizer"),
                   post = json.Object("post_processor");
  if (const std::string prefix = model.StringOr("continuing_subword_prefix", "##"); prefix != kInside)
    FailInput("{}: continuing_subword_prefix is \"{}\", not \"##\"", model.where(), prefix);
  WordPiece out;
  out.most_characters_ = static_cast<size_t>(model.IntOr("max_input_chars_per_word", 1, 1 << 20, 100));
  out.clean_ = normalizer.BoolOr("clean_text", true);
  out.split_cjk_ = normalizer.BoolOr("handle_chinese_chars", true);
  out.lowercase_ = normalizer.BoolOr("lowercase", true);
  out.strip_accents_ = normalizer.BoolOr("strip_accents", out.lowercase_);

  const JsonObject vocabulary = model.Object("vocab");
  out.vocab_size_ = vocabulary.json().size();
  std::vector<bool> given(out.vocab_size_);
  for (const auto& [text, ignored] : vocabulary.json().items()) {
    const auto id = vocabulary.Int(text, 0, std::min(kMostTokens, static_cast<int64_t>(out.vocab_size_) - 1));
    if (given[static_cast<size_t>(id)]) FailInput("{}: id {} is given twice", vocabulary.where(), id);
    given[static_cast<size_t>(id)] = true;
    const bool inside = text.size() > kInside.size() && text.starts_with(kInside);
    out.longest_ = std::max(out.longest_, text.size());
    // A piece "##x" is also what a word may begin with, were it not that punctuation is split off.
    (inside ? out.inside_ : out.begin_).emplace(inside ? text.substr(kInside.size()) : text, static_cast<TokenId>(id));
  }
  const std::string unknown = model.StringOr("unk_token", "[UNK]");
  const auto found = out.begin_.find(unknown);
  if (found == out.begin_.end()) FailInput("{}: unk_token \"{}\" is not in its vocabulary", model.where(), unknown);
  out.unknown_ = found->second;
  out.cls_ = SpecialToken(post, 0, "the first");
  out.sep_ = SpecialToken(post, 2, "the last");
  for (const TokenId id : {out.cls_, out.sep_})
    if (id < 0 || static_cast<size_t>(id) >= out.vocab_size_)
      FailInput("{}: id {} is beyond the vocabulary of {}", post.where(), id, out.vocab_size_);
  return out;
}

void WordPiece::EncodeWord(std::string_view word, std::vector<TokenId>& out) const {
  const auto continues = [](char c) { return (static_cast<unsigned char>(c) & 0xC0) == 0x80; };
  const auto characters = std::ranges::count_if(word, [&](char c) { return !continues(c); });
  const size_t before = out.size();
  bool whole = static_cast<size_t>(characters) <= most_characters_;
  for (size_t at = 0; whole && at < word.size();) {
    const Pieces& pieces = at == 0 ? begin_ : inside_;
    size_t end = std::min(word.size(), at + longest_);
    for (; end > at; --end) {
      if (end < word.size() && continues(word[end])) continue;  // within a character
      const auto found = pieces.find(word.substr(at, end - at));
      if (found == pieces.end()) continue;
      out.push_back(found->second);
      break;
    }
    whole = end > at;
    at = end;
  }
  if (whole) return;
  out.resize(before);
  out.push_back(unknown_);
}

std::vector<TokenId> WordPiece::Encode(std::string_view text, size_t most) const {
  QAD_CHECK(most >= 2);
  std::vector<TokenId> out = {cls_};
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) EncodeWord(word, out);
    word.clear();
  };
  const auto put = [&](utf8proc_int32_t code) {
    if (IsSpace(code)) return end_word();
    const bool alone = IsPunctuation(code) || (split_cjk_ && IsCjk(code));
    if (alone) end_word();
    AppendUtf8(static_cast<uint32_t>(lowercase_ ? utf8proc_tolower(code) : code), word);
    if (alone) end_word();
  };
  const auto* at = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  for (size_t i = 0; i < text.size() && out.size() < most;) {
    utf8proc_int32_t code = 0;
    const auto used = utf8proc_iterate(at + i, static_cast<utf8proc_ssize_t>(text.size() - i), &code);
    i += used > 0 ? static_cast<size_t>(used) : 1;
    if (used <= 0 || (clean_ && (code == 0 || code == kReplacement || IsControl(code)))) continue;
    if (!strip_accents_) {
      put(code);
      continue;
    }
    std::array<utf8proc_int32_t, 32> parts;  // no character comes to more than 18 (UAX 15)
    int boundary = 0;
    const auto count = utf8proc_decompose_char(code, parts.data(), parts.size(), UTF8PROC_DECOMPOSE, &boundary);
    for (utf8proc_ssize_t p = 0; p < std::min<utf8proc_ssize_t>(count, parts.size()); ++p)
      if (utf8proc_category(parts[static_cast<size_t>(p)]) != UTF8PROC_CATEGORY_MN) put(parts[static_cast<size_t>(p)]);
  }
  end_word();
  if (out.size() > most - 1) out.resize(most - 1);
  out.push_back(sep_);
  return out;
}

}  // namespace qad
