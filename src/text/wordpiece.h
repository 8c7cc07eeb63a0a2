// BERT's tokenizer, from tokenizer.json: text cleaned, in lower case and without accents, split at white space and
// around punctuation and CJK characters, and each word cut into pieces of the vocabulary, the longest first.
// Sources: Schuster and Nakajima 2012 (WordPiece), Devlin et al. 2018 (BERT), Hugging Face `tokenizers` behaviour.
#pragma once

#include <filesystem>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/heap_bytes.h"
#include "text/tokenizer.h"

namespace qad {

// Immutable and safe to share between threads.
class WordPiece {
 public:
  // Errors (kInput): malformed JSON; another model than WordPiece, another normalizer, pre-tokenizer or post-processor
  // than BERT's; ids given twice or out of range; [CLS], [SEP] or the unknown token missing.
  static WordPiece FromTokenizerJson(const std::filesystem::path& tokenizer_json);

  // [CLS] pieces [SEP], at most `most` tokens (≥ 2): what is longer is cut. Special tokens in the text are not
  // recognised, invalid UTF-8 is left out.
  std::vector<TokenId> Encode(std::string_view text, size_t most) const;
  size_t vocab_size() const { return vocab_size_; }
  size_t bytes() const { return HeapBytes(begin_) + HeapBytes(inside_); }  // of its tables in memory

 private:
  WordPiece() = default;
  struct Hash : std::hash<std::string_view> {
    using is_transparent = void;
  };
  using Pieces = std::unordered_map<std::string, TokenId, Hash, std::equal_to<>>;
  void EncodeWord(std::string_view word, std::vector<TokenId>& out) const;

  Pieces begin_, inside_;  // pieces that a word begins with, and those that go on ("##", left out)
  TokenId cls_ = 0, sep_ = 0, unknown_ = 0;
  size_t most_characters_ = 100;  // of a word that is not unknown
  size_t longest_ = 0;            // bytes of a piece
  size_t vocab_size_ = 0;
  bool lowercase_ = true, strip_accents_ = true, split_cjk_ = true, clean_ = true;
};

}  // namespace qad
