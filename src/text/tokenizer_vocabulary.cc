// Tokenizers from a GGUF's own fields and from a tiktoken rank file.
#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "text/tokenizer_impl.h"

namespace qad {

Tokenizer Tokenizer::FromGguf(const GgufVocabulary& vocabulary) {
  auto impl = std::make_shared<Impl>();
  impl->where = vocabulary.where;
  if (vocabulary.model != "gpt2")
    FailInput("{}: tokenizer.ggml.model \"{}\" is not supported by this version, which knows \"gpt2\" (byte-level BPE)",
              impl->where, vocabulary.model);
  if (vocabulary.pre != "gpt-2" && vocabulary.pre != "smollm")
    FailInput("{}: tokenizer.ggml.pre \"{}\" is not supported by this version, which knows \"gpt-2\" and \"smollm\"",
              impl->where, vocabulary.pre);
  const size_t n = vocabulary.tokens.size();
  if (n == 0) FailInput("{}: tokenizer.ggml.tokens: no tokens", impl->where);
  if (!vocabulary.token_types.empty() && vocabulary.token_types.size() != n)
    FailInput("{}: {} tokens but {} token types", impl->where, n, vocabulary.token_types.size());
  impl->Resize(n);
  constexpr int64_t kControl = 3, kUserDefined = 4;
  for (size_t i = 0; i < n; ++i) {
    const int64_t type = vocabulary.token_types.empty() ? 1 : vocabulary.token_types[i];
    if (type == kControl || type == kUserDefined)
      impl->AddAdded(static_cast<TokenId>(i), vocabulary.tokens[i], type == kControl);
    else
      impl->AddOrdinary(static_cast<TokenId>(i), FromByteAlphabet(vocabulary.tokens[i]).value_or(vocabulary.tokens[i]));
  }
  for (size_t i = 0; i < vocabulary.merges.size(); ++i) {
    const std::string& merge = vocabulary.merges[i];
    const size_t space = merge.find(' ');
    if (space == std::string::npos || space == 0 || space + 1 == merge.size())
      FailInput("{}: tokenizer.ggml.merges[{}] is not a pair of tokens", impl->where, i);
    impl->AddMerge(merge.substr(0, space), merge.substr(space + 1), i);
  }
  const auto checked = [&](const std::optional<int64_t>& id, const char* name) -> std::optional<TokenId> {
    if (!id) return std::nullopt;
    if (*id < 0 || static_cast<size_t>(*id) >= n)
      FailInput("{}: tokenizer.ggml.{}_token_id is {}, the vocabulary has {} tokens", impl->where, name, *id, n);
    return static_cast<TokenId>(*id);
  };
  impl->bos = checked(vocabulary.bos, "bos");
  impl->eos = checked(vocabulary.eos, "eos");
  impl->add_bos = vocabulary.add_bos;
  impl->chat_template = vocabulary.chat_template;
  impl->Finish(vocabulary.pre == "smollm" ? SplitRule::kSmolLm : SplitRule::kGpt2);
  return Tokenizer(impl);
}

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
  for (const std::string_view row : SplitLines(text)) {
    ++line;
    if (row.empty()) continue;
    const std::string where = fmt::format("{}:{}", impl->where, line);
    const size_t space = row.find(' ');
    if (space == std::string_view::npos) FailInput("{}: expected a base64 token and its rank", where);
    const std::string_view digits = row.substr(space + 1);
    if (digits.empty() || digits.size() > 8 ||
        !std::ranges::all_of(digits, [](char c) { return c >= '0' && c <= '9'; }))
      FailInput("{}: the rank is not a number", where);
    const auto rank = static_cast<size_t>(std::stol(std::string(digits)));
    if (rank != impl->bytes.size()) FailInput("{}: rank {} where {} was expected", where, rank, impl->bytes.size());
    std::string token = DecodeBase64(row.substr(0, space), where);
    if (token.empty()) FailInput("{}: an empty token", where);
    impl->Resize(rank + 1);
    impl->AddOrdinary(static_cast<TokenId>(rank), std::move(token));
  }
  if (impl->bytes.empty()) FailInput("{}: holds no tokens", impl->where);
  const size_t ranks = impl->bytes.size();
  for (size_t rank = 0; rank < ranks; ++rank) {
    const std::string& token = impl->bytes[rank];
    for (size_t cut = 1; cut < token.size(); ++cut) {
      const auto a = impl->ids.find(token.substr(0, cut)), b = impl->ids.find(token.substr(cut));
      if (a != impl->ids.end() && b != impl->ids.end())
        impl->merges.emplace(Impl::PairKey(a->second, b->second),
                             Impl::Merge{static_cast<int32_t>(rank), static_cast<TokenId>(rank)});
    }
  }
  impl->Resize(ranks + 1);
  impl->AddAdded(static_cast<TokenId>(ranks), "<|endoftext|>", true);
  impl->bos = impl->eos = static_cast<TokenId>(ranks);
  impl->Finish(SplitRule::kGpt2);
  return Tokenizer(impl);
}

}  // namespace qad
