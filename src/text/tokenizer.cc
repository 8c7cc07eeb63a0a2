#include "text/tokenizer.h"

#include <algorithm>
#include <array>
#include <queue>
#include <unordered_map>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "text/splitter.h"
#include "text/unicode.h"

namespace qad {
namespace {

constexpr int64_t kMaxTokens = 1 << 24;

// GPT-2's alphabet: every byte is one printable character. Printable ASCII and Latin-1 stand for themselves, the other
// 68 bytes are U+0100 and up, in order (Radford et al. 2019, bytes_to_unicode).
struct ByteAlphabet {
  std::array<uint32_t, 256> of_byte{};
  std::array<int, 512> of_char{};

  ByteAlphabet() {
    of_char.fill(-1);
    uint32_t next = 256;
    for (uint32_t b = 0; b < 256; ++b) {
      const bool itself = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174);
      of_byte[b] = itself ? b : next++;
      of_char[of_byte[b]] = static_cast<int>(b);
    }
  }
};

const ByteAlphabet& Alphabet() {
  static const ByteAlphabet alphabet;
  return alphabet;
}

// The bytes a token's text stands for; nullopt where it is not written in the alphabet.
std::optional<std::string> ToBytes(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    const auto c = static_cast<unsigned char>(token[i]);
    uint32_t code = c;
    if (c >= 0x80) {  // two bytes cover the whole alphabet
      if ((c & 0xE0) != 0xC0 || i + 1 >= token.size()) return std::nullopt;
      code = (c & 0x1Fu) << 6 | (static_cast<unsigned char>(token[++i]) & 0x3Fu);
    }
    if (code >= 512 || Alphabet().of_char[code] < 0) return std::nullopt;
    out.push_back(static_cast<char>(Alphabet().of_char[code]));
  }
  return out;
}

uint64_t PairKey(TokenId a, TokenId b) {
  return static_cast<uint64_t>(static_cast<uint32_t>(a)) << 32 | static_cast<uint32_t>(b);
}

struct Merge {
  int32_t rank;
  TokenId id;
};

bool EndsGeneration(std::string_view token) {
  for (const std::string_view name : {"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "</s>", "<|eom_id|>"})
    if (token == name) return true;
  return false;
}

}  // namespace

struct Tokenizer::Impl {
  std::string where;
  std::vector<std::string> bytes;   // what each id decodes to
  std::vector<bool> special;
  std::vector<bool> present;
  std::vector<bool> ends;
  std::unordered_map<std::string, TokenId> ids;           // ordinary tokens by their bytes
  std::vector<std::pair<std::string, TokenId>> specials;  // longest first
  std::array<TokenId, 256> of_byte{};
  std::unordered_map<uint64_t, Merge> merges;
  std::unique_ptr<Splitter> splitter;
  std::optional<TokenId> bos, eos;
  bool add_bos = false;
  std::string chat_template;

  void Resize(size_t n) {
    bytes.resize(n);
    special.resize(n);
    present.resize(n);
    ends.resize(n);
  }

  void AddOrdinary(TokenId id, std::string text) {
    present[static_cast<size_t>(id)] = true;
    if (!ids.emplace(text, id).second) FailInput("{}: two tokens have the same text \"{}\"", where, ReplaceInvalidUtf8(text));
    bytes[static_cast<size_t>(id)] = std::move(text);
  }

  void AddSpecial(TokenId id, const std::string& text) {
    if (text.empty()) FailInput("{}: special token {} is empty", where, id);
    const auto at = static_cast<size_t>(id);
    if (present[at] && !special[at]) ids.erase(bytes[at]);
    present[at] = special[at] = true;
    bytes[at] = text;
    ends[at] = EndsGeneration(text);
    std::erase_if(specials, [&](const auto& s) { return s.second == id; });
    specials.emplace_back(text, id);
  }

  // A merge of two tokens, by their bytes.
  void AddMerge(const std::string& left, const std::string& right, int32_t rank) {
    const auto a = ids.find(left), b = ids.find(right), c = ids.find(left + right);
    if (a == ids.end() || b == ids.end() || c == ids.end())
      FailInput("{}: merge {} (\"{} {}\") names a token that the vocabulary lacks", where, rank, ReplaceInvalidUtf8(left),
                ReplaceInvalidUtf8(right));
    merges.emplace(PairKey(a->second, b->second), Merge{rank, c->second});
  }

  void Finish(SplitRule rule) {
    splitter = std::make_unique<Splitter>(rule);
    for (int b = 0; b < 256; ++b) {
      const auto found = ids.find(std::string(1, static_cast<char>(b)));
      of_byte[static_cast<size_t>(b)] = found == ids.end() ? -1 : found->second;
    }
    std::ranges::sort(specials, [](const auto& x, const auto& y) { return x.first.size() > y.first.size(); });
    if (eos) ends[static_cast<size_t>(*eos)] = true;
  }

  void EncodeWord(std::string_view word, std::vector<TokenId>& out) const;
  void EncodePlain(std::string_view text, std::vector<TokenId>& out) const {
    splitter->Split(text, [&](std::string_view word) { EncodeWord(word, out); });
  }
};

// Merges lowest rank first, leftmost among equals: a heap of candidate pairs over a linked list of symbols, so that a
// word of n bytes takes n log n steps (30,000 times one letter must not take n²).
void Tokenizer::Impl::EncodeWord(std::string_view word, std::vector<TokenId>& out) const {
  struct Symbol {
    TokenId id;
    int previous, next;
  };
  struct Candidate {
    int32_t rank;
    int left;
    TokenId left_id, right_id, merged;
    bool operator<(const Candidate& other) const { return rank != other.rank ? rank > other.rank : left > other.left; }
  };
  std::vector<Symbol> symbols(word.size());
  const int n = static_cast<int>(word.size());
  for (int i = 0; i < n; ++i) {
    const TokenId id = of_byte[static_cast<unsigned char>(word[static_cast<size_t>(i)])];
    if (id < 0)
      FailInput("{}: the vocabulary has no token for byte 0x{:02x}", where, static_cast<unsigned char>(word[static_cast<size_t>(i)]));
    symbols[static_cast<size_t>(i)] = {id, i - 1, i + 1 < n ? i + 1 : -1};
  }
  std::priority_queue<Candidate> queue;
  const auto consider = [&](int left) {
    if (left < 0) return;
    const Symbol& a = symbols[static_cast<size_t>(left)];
    if (a.next < 0) return;
    const TokenId right = symbols[static_cast<size_t>(a.next)].id;
    const auto found = merges.find(PairKey(a.id, right));
    if (found != merges.end()) queue.push({found->second.rank, left, a.id, right, found->second.id});
  };
  for (int i = 0; i + 1 < n; ++i) consider(i);
  while (!queue.empty()) {
    const Candidate best = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<size_t>(best.left)];
    if (left.id != best.left_id || left.next < 0) continue;  // merged away since
    Symbol& right = symbols[static_cast<size_t>(left.next)];
    if (right.id != best.right_id) continue;
    left.id = best.merged;
    right.id = -1;
    left.next = right.next;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = best.left;
    consider(left.previous);
    consider(best.left);
  }
  for (int i = n > 0 ? 0 : -1; i >= 0; i = symbols[static_cast<size_t>(i)].next) out.push_back(symbols[static_cast<size_t>(i)].id);
}

// ---------------------------------------------------------------------------------------------------------------------
// tokenizer.json

namespace {

SplitRule SplitRuleOf(const Json& tokenizer, const std::string& where) {
  const auto unsupported = [&](const std::string& what) -> SplitRule {
    FailInput("{}: pre-tokenizer {} is not supported by this version, which knows GPT-2's ByteLevel and SmolLM's "
              "(Digits, ByteLevel)", where, what);
  };
  if (!tokenizer.contains("pre_tokenizer") || !tokenizer["pre_tokenizer"].is_object()) return unsupported("(none)");
  const Json& pre = tokenizer["pre_tokenizer"];
  const std::string type = pre.value("type", "");
  const auto byte_level = [&](const Json& part) {
    if (part.value("add_prefix_space", false)) unsupported("ByteLevel with add_prefix_space");
    if (!part.value("use_regex", true)) unsupported("ByteLevel without its pattern");
  };
  if (type == "ByteLevel") {
    byte_level(pre);
    return SplitRule::kGpt2;
  }
  if (type != "Sequence" || !pre.contains("pretokenizers") || !pre["pretokenizers"].is_array()) return unsupported("\"" + type + "\"");
  const Json& parts = pre["pretokenizers"];
  if (parts.size() == 2 && parts[0].value("type", "") == "Digits" && parts[0].value("individual_digits", false) &&
      parts[1].value("type", "") == "ByteLevel") {
    byte_level(parts[1]);
    return SplitRule::kSmolLm;
  }
  std::string names;
  for (const Json& part : parts) names += (names.empty() ? "" : ", ") + part.value("type", "?");
  return unsupported("Sequence(" + names + ")");
}

std::pair<std::string, std::string> MergeTexts(const Json& merge, size_t index, const std::string& where) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string())
    return {merge[0].get<std::string>(), merge[1].get<std::string>()};
  if (merge.is_string()) {
    const auto text = merge.get<std::string>();
    if (const size_t space = text.find(' '); space != std::string::npos && space > 0 && space + 1 < text.size())
      return {text.substr(0, space), text.substr(space + 1)};
  }
  FailInput("{}: model.merges[{}] is not a pair of tokens", where, index);
}

void AddMergeTexts(Tokenizer::Impl& impl, const std::string& left, const std::string& right, size_t rank) {
  const auto a = ToBytes(left), b = ToBytes(right);
  if (!a || !b) FailInput("{}: merge {} (\"{} {}\") is not written in the byte-level alphabet", impl.where, rank, left, right);
  impl.AddMerge(*a, *b, static_cast<int32_t>(rank));
}

std::string TokenText(const Json& json, const char* key) {
  if (!json.contains(key)) return "";
  const Json& value = json[key];
  if (value.is_string()) return value.get<std::string>();
  return value.is_object() ? value.value("content", "") : "";
}

std::string ChatTemplateOf(const std::filesystem::path& folder, const Json& config) {
  if (std::filesystem::exists(folder / "chat_template.jinja")) return ReadTextFile(folder / "chat_template.jinja", 1 << 20);
  if (!config.contains("chat_template")) return "";
  const Json& value = config["chat_template"];
  if (value.is_string()) return value.get<std::string>();
  if (value.is_array())
    for (const Json& named : value)
      if (named.is_object() && named.value("name", "") == "default") return named.value("template", "");
  return "";
}

void ReadVocabulary(Tokenizer::Impl& impl, const JsonObject& model) {
  const Json& vocabulary = model.At("vocab");
  if (!vocabulary.is_object()) FailInput("{}: model.vocab must be an object", impl.where);
  int64_t largest = -1;
  for (const auto& [text, id] : vocabulary.items()) {
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= kMaxTokens)
      FailInput("{}: model.vocab \"{}\": the id must be a whole number from 0 to {}", impl.where, text, kMaxTokens - 1);
    largest = std::max(largest, id.get<int64_t>());
  }
  // An id far beyond the number of tokens would only make us allocate.
  if (largest > 2 * static_cast<int64_t>(vocabulary.size()) + 65536) FailInput("{}: model.vocab has ids up to {} for {} tokens", impl.where, largest, vocabulary.size());
  impl.Resize(static_cast<size_t>(largest + 1));
  for (const auto& [text, json] : vocabulary.items()) {
    const auto id = json.get<TokenId>();
    if (impl.present[static_cast<size_t>(id)]) FailInput("{}: model.vocab gives id {} twice", impl.where, id);
    impl.AddOrdinary(id, ToBytes(text).value_or(text));
  }
}

void ReadAddedTokens(Tokenizer::Impl& impl, const Json& tokenizer) {
  if (!tokenizer.contains("added_tokens")) return;
  for (const Json& token : tokenizer["added_tokens"]) {
    const JsonObject json(token, impl.where + ": added_tokens");
    for (const char* flag : {"single_word", "lstrip", "rstrip"})
      if (json.BoolOr(flag, false)) FailInput("{}: added token \"{}\" sets {}, which this version does not do", impl.where, json.String("content"), flag);
    const int64_t id = json.Int("id", 0, static_cast<int64_t>(impl.bytes.size()) + 65536);
    if (static_cast<size_t>(id) >= impl.bytes.size()) impl.Resize(static_cast<size_t>(id) + 1);
    impl.AddSpecial(static_cast<TokenId>(id), json.String("content"));
  }
}

}  // namespace

Tokenizer Tokenizer::FromTokenizerJson(const std::filesystem::path& path) {
  auto impl = std::make_shared<Impl>();
  impl->where = path.string();
  const Json root = ReadJsonFile(path);
  const JsonObject json(root, impl->where);
  const JsonObject model = json.Object("model");
  if (const std::string type = model.StringOr("type", "BPE"); type != "BPE")
    FailInput("{}: model type \"{}\" is not supported by this version, which knows byte-level BPE", impl->where, type);
  if (json.Has("normalizer")) FailInput("{}: a normalizer ({}) is not supported by this version", impl->where, root["normalizer"].value("type", "?"));
  ReadVocabulary(*impl, model);
  const Json& merges = model.At("merges");
  if (!merges.is_array()) FailInput("{}: model.merges must be a list", impl->where);
  for (size_t i = 0; i < merges.size(); ++i) {
    const auto [left, right] = MergeTexts(merges[i], i, impl->where);
    AddMergeTexts(*impl, left, right, i);
  }
  ReadAddedTokens(*impl, root);
  const auto folder = path.parent_path();
  Json config = Json::object();
  if (const auto beside = folder / "tokenizer_config.json"; std::filesystem::exists(beside)) config = ReadJsonFile(beside);
  const JsonObject checked(config, (folder / "tokenizer_config.json").string());
  impl->chat_template = ChatTemplateOf(folder, config);
  impl->add_bos = checked.BoolOr("add_bos_token", false);
  const auto id_of = [&](const std::string& text) -> std::optional<TokenId> {
    for (const auto& [special, id] : impl->specials)
      if (special == text) return id;
    return std::nullopt;
  };
  impl->bos = id_of(TokenText(config, "bos_token"));
  impl->eos = id_of(TokenText(config, "eos_token"));
  impl->Finish(SplitRuleOf(root, impl->where));
  return Tokenizer(impl);
}

// ---------------------------------------------------------------------------------------------------------------------
// GGUF

Tokenizer Tokenizer::FromGguf(const GgufVocabulary& vocabulary) {
  auto impl = std::make_shared<Impl>();
  impl->where = vocabulary.where;
  if (vocabulary.model != "gpt2")
    FailInput("{}: tokenizer.ggml.model \"{}\" is not supported by this version, which knows \"gpt2\" (byte-level BPE)", impl->where, vocabulary.model);
  if (vocabulary.pre != "gpt-2" && vocabulary.pre != "smollm")
    FailInput("{}: tokenizer.ggml.pre \"{}\" is not supported by this version, which knows \"gpt-2\" and \"smollm\"", impl->where, vocabulary.pre);
  const size_t n = vocabulary.tokens.size();
  if (!vocabulary.token_types.empty() && vocabulary.token_types.size() != n)
    FailInput("{}: {} tokens but {} token types", impl->where, n, vocabulary.token_types.size());
  impl->Resize(n);
  constexpr int64_t kControl = 3, kUserDefined = 4;
  for (size_t i = 0; i < n; ++i) {
    const int64_t type = vocabulary.token_types.empty() ? 1 : vocabulary.token_types[i];
    if (type == kControl || type == kUserDefined)
      impl->AddSpecial(static_cast<TokenId>(i), vocabulary.tokens[i]);
    else
      impl->AddOrdinary(static_cast<TokenId>(i), ToBytes(vocabulary.tokens[i]).value_or(vocabulary.tokens[i]));
  }
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    const std::string& merge = vocabulary.merges[i];
    const size_t space = merge.find(' ');
    if (space == std::string::npos || space == 0 || space + 1 == merge.size())
      FailInput("{}: tokenizer.ggml.merges[{}] is not a pair of tokens", impl->where, i);
    AddMergeTexts(*impl, merge.substr(0, space), merge.substr(space + 1), i);
  }
  const auto checked = [&](const std::optional<int64_t>& id, const char* name) -> std::optional<TokenId> {
    if (!id) return std::nullopt;
    if (*id < 0 || static_cast<size_t>(*id) >= n) FailInput("{}: tokenizer.ggml.{}_token_id is {}, the vocabulary has {} tokens", impl->where, name, *id, n);
    return static_cast<TokenId>(*id);
  };
  impl->bos = checked(vocabulary.bos, "bos");
  impl->eos = checked(vocabulary.eos, "eos");
  impl->add_bos = vocabulary.add_bos;
  impl->chat_template = vocabulary.chat_template;
  impl->Finish(vocabulary.pre == "smollm" ? SplitRule::kSmolLm : SplitRule::kGpt2);
  return Tokenizer(impl);
}

// ---------------------------------------------------------------------------------------------------------------------
// tiktoken

namespace {

std::string DecodeBase64(std::string_view text, const std::string& where) {
  std::string out;
  uint32_t bits = 0;
  int have = 0;
  for (const char c : text) {
    if (c == '=') break;
    const int value = c >= 'A' && c <= 'Z'   ? c - 'A'
                      : c >= 'a' && c <= 'z' ? c - 'a' + 26
                      : c >= '0' && c <= '9' ? c - '0' + 52
                      : c == '+'             ? 62
                      : c == '/'             ? 63
                                             : -1;
    if (value < 0) FailInput("{}: not base64", where);
    bits = bits << 6 | static_cast<uint32_t>(value);
    have += 6;
    if (have >= 8) {
      have -= 8;
      out.push_back(static_cast<char>(bits >> have & 255u));
    }
  }
  return out;
}

}  // namespace

// A rank file lists tokens, not merges: any two neighbours merge whose bytes together are a token, lowest rank first.
Tokenizer Tokenizer::FromTiktoken(const std::filesystem::path& path) {
  auto impl = std::make_shared<Impl>();
  impl->where = path.string();
  const std::string text = ReadTextFile(path, uint64_t{64} << 20);
  int line = 0;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    const std::string_view row(text.data() + at, end - at);
    at = end + 1;
    ++line;
    if (row.empty()) continue;
    const std::string where = fmt::format("{}:{}", impl->where, line);
    const size_t space = row.find(' ');
    if (space == std::string_view::npos) FailInput("{}: expected a base64 token and its rank", where);
    const std::string_view digits = row.substr(space + 1);
    if (digits.empty() || digits.size() > 8 || !std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; }))
      FailInput("{}: the rank is not a number", where);
    const auto rank = static_cast<size_t>(std::stol(std::string(digits)));
    if (rank != impl->bytes.size()) FailInput("{}: rank {} where {} was expected", where, rank, impl->bytes.size());
    impl->Resize(rank + 1);
    impl->AddOrdinary(static_cast<TokenId>(rank), DecodeBase64(row.substr(0, space), where));
  }
  if (impl->bytes.empty()) FailInput("{}: holds no tokens", impl->where);
  const size_t ranks = impl->bytes.size();
  for (size_t rank = 0; rank < ranks; ++rank) {
    const std::string& token = impl->bytes[rank];
    for (size_t cut = 1; cut < token.size(); ++cut) {
      const auto a = impl->ids.find(token.substr(0, cut)), b = impl->ids.find(token.substr(cut));
      if (a != impl->ids.end() && b != impl->ids.end())
        impl->merges.emplace(PairKey(a->second, b->second), Merge{static_cast<int32_t>(rank), static_cast<TokenId>(rank)});
    }
  }
  impl->Resize(ranks + 1);
  impl->AddSpecial(static_cast<TokenId>(ranks), "<|endoftext|>");
  impl->bos = impl->eos = static_cast<TokenId>(ranks);
  impl->Finish(SplitRule::kGpt2);
  return Tokenizer(impl);
}

// ---------------------------------------------------------------------------------------------------------------------

std::vector<TokenId> Tokenizer::Encode(std::string_view text) const {
  std::vector<TokenId> out;
  if (IsValidUtf8(text))
    impl_->EncodePlain(text, out);
  else
    impl_->EncodePlain(ReplaceInvalidUtf8(text), out);
  return out;
}

std::vector<TokenId> Tokenizer::EncodeWithSpecial(std::string_view original) const {
  const std::string text = ReplaceInvalidUtf8(original);
  std::vector<TokenId> out;
  size_t plain = 0;
  for (size_t at = 0; at < text.size();) {
    const auto found = std::ranges::find_if(impl_->specials, [&](const auto& s) { return text.compare(at, s.first.size(), s.first) == 0; });
    if (found == impl_->specials.end()) {
      ++at;
      continue;
    }
    impl_->EncodePlain(std::string_view(text).substr(plain, at - plain), out);
    out.push_back(found->second);
    plain = at += found->first.size();
  }
  impl_->EncodePlain(std::string_view(text).substr(plain), out);
  return out;
}

std::string Tokenizer::Decode(std::span<const TokenId> ids, bool with_special) const {
  std::string bytes;
  for (const TokenId id : ids) {
    if (id < 0 || static_cast<size_t>(id) >= impl_->bytes.size()) continue;  // padding of the model's vocabulary
    if (!impl_->special[static_cast<size_t>(id)] || with_special) bytes += impl_->bytes[static_cast<size_t>(id)];
  }
  return ReplaceInvalidUtf8(bytes);
}

std::string Tokenizer::TokenBytes(TokenId id) const {
  return id < 0 || static_cast<size_t>(id) >= impl_->bytes.size() ? "" : impl_->bytes[static_cast<size_t>(id)];
}

int Tokenizer::vocab_size() const { return static_cast<int>(impl_->bytes.size()); }
std::optional<TokenId> Tokenizer::bos() const { return impl_->bos; }
std::optional<TokenId> Tokenizer::eos() const { return impl_->eos; }
bool Tokenizer::add_bos() const { return impl_->add_bos && impl_->bos.has_value(); }
const std::string& Tokenizer::chat_template() const { return impl_->chat_template; }

bool Tokenizer::IsEndOfGeneration(TokenId id) const {
  return id >= 0 && static_cast<size_t>(id) < impl_->ends.size() && impl_->ends[static_cast<size_t>(id)];
}

std::optional<TokenId> Tokenizer::Find(std::string_view token) const {
  for (const auto& [text, id] : impl_->specials)
    if (text == token) return id;
  const auto found = impl_->ids.find(std::string(token));
  return found == impl_->ids.end() ? std::nullopt : std::optional(found->second);
}

}  // namespace qad
