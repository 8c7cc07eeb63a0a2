#include "text/tokenizer.h"

#include <algorithm>
#include <queue>

#include "base/error.h"
#include "base/heap_bytes.h"
#include "text/tokenizer_impl.h"
#include "text/unicode.h"

namespace qad {
namespace {

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

bool EndsGeneration(std::string_view token) {
  for (const std::string_view name :
       {"<|im_end|>", "<|endoftext|>", "<|eot_id|>", "<|end_of_text|>", "<|end|>", "</s>", "<|eom_id|>"})
    if (token == name) return true;
  return false;
}

}  // namespace

std::optional<std::string> FromByteAlphabet(std::string_view token) {
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

void Tokenizer::Impl::Resize(size_t n) {
  bytes.resize(n);
  present.resize(n);
  special.resize(n);
  ends.resize(n);
}

void Tokenizer::Impl::AddOrdinary(TokenId id, std::string text) {
  if (!ids.emplace(text, id).second)
    FailInput("{}: two tokens have the same text \"{}\"", where, ReplaceInvalidUtf8(text));
  present[static_cast<size_t>(id)] = true;
  bytes[static_cast<size_t>(id)] = std::move(text);
}

void Tokenizer::Impl::AddAdded(TokenId id, const std::string& text, bool is_special) {
  if (text.empty()) FailInput("{}: the text of added token {} is empty", where, id);
  const auto at = static_cast<size_t>(id);
  if (present[at] && ids.erase(bytes[at]) == 0)
    FailInput("{}: added token \"{}\": id {} is taken by another", where, text, id);
  present[at] = true;
  special[at] = is_special;
  bytes[at] = text;
  ends[at] = EndsGeneration(text);
  added.push_back({text, id, is_special});
}

void Tokenizer::Impl::AddMerge(const std::string& left, const std::string& right, size_t rank) {
  const auto a = FromByteAlphabet(left), b = FromByteAlphabet(right);
  if (!a || !b)
    FailInput("{}: merge {} (\"{} {}\") is not written in the byte-level alphabet", where, rank, left, right);
  const auto x = ids.find(*a), y = ids.find(*b), both = ids.find(*a + *b);
  if (x == ids.end() || y == ids.end() || both == ids.end())
    FailInput("{}: merge {} (\"{} {}\") names a token that the vocabulary lacks", where, rank, left, right);
  merges.emplace(PairKey(x->second, y->second), Merge{static_cast<int32_t>(rank), both->second});
}

void Tokenizer::Impl::Finish(SplitRule split) {
  rule = split;
  splitter = std::make_unique<Splitter>(rule);
  for (size_t b = 0; b < of_byte.size(); ++b) {
    const auto found = ids.find(std::string(1, static_cast<char>(b)));
    of_byte[b] = found == ids.end() ? -1 : found->second;
  }
  std::ranges::stable_sort(added, [](const Added& x, const Added& y) { return x.text.size() > y.text.size(); });
  for (const Added& token : added) begins_added[static_cast<unsigned char>(token.text[0])] = true;
  if (eos) ends[static_cast<size_t>(*eos)] = true;
}

// Merges lowest rank first, leftmost among equals: a heap of candidate pairs over a linked list of symbols, so that a
// word of n bytes takes n log n steps (30,000 times one letter must not take n²). Bytes that the vocabulary lacks are
// left out before, as the reference does.
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
  std::vector<Symbol> symbols;
  symbols.reserve(word.size());
  for (const char c : word)
    if (const TokenId id = of_byte[static_cast<unsigned char>(c)]; id >= 0) symbols.push_back({id, 0, 0});
  const int n = static_cast<int>(symbols.size());
  for (int i = 0; i < n; ++i) {
    symbols[static_cast<size_t>(i)].previous = i - 1;
    symbols[static_cast<size_t>(i)].next = i + 1 < n ? i + 1 : -1;
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
  for (int i = n > 0 ? 0 : -1; i >= 0; i = symbols[static_cast<size_t>(i)].next)
    out.push_back(symbols[static_cast<size_t>(i)].id);
}

void Tokenizer::Impl::EncodePlain(std::string_view text, std::vector<TokenId>& out) const {
  splitter->Split(text, [&](std::string_view word) { EncodeWord(word, out); });
}

// The longest added token that begins at `at`; null where none does.
const Tokenizer::Impl::Added* Tokenizer::Impl::AddedAt(std::string_view text, size_t at, bool with_special) const {
  if (!begins_added[static_cast<unsigned char>(text[at])]) return nullptr;
  for (const Added& token : added)
    if ((with_special || !token.special) && text.compare(at, token.text.size(), token.text) == 0) return &token;
  return nullptr;
}

std::vector<TokenId> Tokenizer::Impl::Encode(std::string_view original, bool with_special) const {
  const std::string cleaned = IsValidUtf8(original) ? "" : ReplaceInvalidUtf8(original);
  const std::string_view text = cleaned.empty() ? original : cleaned;
  std::vector<TokenId> out;
  size_t plain = 0;  // where the text not yet encoded begins
  for (size_t at = 0; at < text.size();) {
    const Added* token = AddedAt(text, at, with_special);
    if (token == nullptr) {
      ++at;
      continue;
    }
    EncodePlain(text.substr(plain, at - plain), out);
    out.push_back(token->id);
    plain = at += token->text.size();
  }
  EncodePlain(text.substr(plain), out);
  return out;
}

std::vector<TokenId> Tokenizer::Encode(std::string_view text) const { return impl_->Encode(text, false); }
std::vector<TokenId> Tokenizer::EncodeWithSpecial(std::string_view text) const { return impl_->Encode(text, true); }

std::string Tokenizer::Decode(std::span<const TokenId> ids, bool with_special) const {
  std::string bytes;
  for (const TokenId id : ids) {
    if (id < 0 || static_cast<size_t>(id) >= impl_->bytes.size()) continue;  // padding of the model's vocabulary
    if (!impl_->special[static_cast<size_t>(id)] || with_special) bytes += impl_->bytes[static_cast<size_t>(id)];
  }
  return ReplaceInvalidUtf8(bytes);
}

int Tokenizer::vocab_size() const { return static_cast<int>(impl_->bytes.size()); }
size_t Tokenizer::bytes() const {
  return HeapBytes(impl_->bytes) + HeapBytes(impl_->ids) + HeapBytes(impl_->merges) + HeapBytes(impl_->chat_template) +
         3 * HeapBlock(impl_->bytes.size() / 8);  // flags
}
std::optional<TokenId> Tokenizer::bos() const { return impl_->bos; }
std::optional<TokenId> Tokenizer::eos() const { return impl_->eos; }
std::string_view Tokenizer::pre() const { return impl_->rule == SplitRule::kSmolLm ? "smollm" : "gpt-2"; }
bool Tokenizer::add_bos() const { return impl_->add_bos && impl_->bos.has_value(); }
const std::string& Tokenizer::chat_template() const { return impl_->chat_template; }

bool Tokenizer::IsEndOfGeneration(TokenId id) const {
  return id >= 0 && static_cast<size_t>(id) < impl_->ends.size() && impl_->ends[static_cast<size_t>(id)];
}

}  // namespace qad
