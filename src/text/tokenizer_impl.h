// What the readers of vocabularies (tokenizer_json.cc, tokenizer_vocabulary.cc) fill in and the tokenizer runs on. Only
// these include this.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "text/splitter.h"
#include "text/tokenizer.h"

namespace qad {

// The bytes a token's text in GPT-2's byte-level alphabet stands for; nullopt where it is not written in the alphabet.
std::optional<std::string> FromByteAlphabet(std::string_view token);

struct Tokenizer::Impl {
  struct Merge {
    int32_t rank;
    TokenId id;
  };
  struct Added {
    std::string text;
    TokenId id;
    bool special;  // otherwise it is found in everybody's text
  };

  std::string where;               // the file, for messages
  std::vector<std::string> bytes;  // what each id decodes to
  std::vector<bool> present, special, ends;
  std::unordered_map<std::string, TokenId> ids;  // ordinary tokens by their bytes
  std::vector<Added> added;                      // longest first
  std::array<bool, 256> begins_added{};          // by first byte
  std::array<TokenId, 256> of_byte{};            // −1 where the vocabulary lacks it
  std::unordered_map<uint64_t, Merge> merges;    // by PairKey
  SplitRule rule = SplitRule::kGpt2;
  std::unique_ptr<Splitter> splitter;
  std::optional<TokenId> bos, eos;
  bool add_bos = false;
  std::string chat_template;

  static uint64_t PairKey(TokenId a, TokenId b) {
    return static_cast<uint64_t>(static_cast<uint32_t>(a)) << 32 | static_cast<uint32_t>(b);
  }

  // Reading, in this order: Resize, tokens, merges, added tokens (they take an ordinary token's place), Finish.
  void Resize(size_t n);
  void AddOrdinary(TokenId id, std::string text);
  void AddAdded(TokenId id, const std::string& text, bool is_special);
  // Texts in the byte-level alphabet. Error (kInput): a token the vocabulary lacks.
  void AddMerge(const std::string& left, const std::string& right, size_t rank);
  void Finish(SplitRule split);

  const Added* AddedAt(std::string_view text, size_t at, bool with_special) const;
  void EncodeWord(std::string_view word, std::vector<TokenId>& out) const;
  void EncodePlain(std::string_view text, std::vector<TokenId>& out) const;
  std::vector<TokenId> Encode(std::string_view text, bool with_special) const;
};

}  // namespace qad
