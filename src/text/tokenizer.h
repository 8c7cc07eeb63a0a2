// Byte-level BPE tokenizers, from tokenizer.json, GGUF fields or a tiktoken rank file.
// Sources: Sennrich et al. 2016 (BPE), Radford et al. 2019 (byte-level alphabet), Hugging Face `tokenizers` behaviour.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace qad {

using TokenId = int32_t;

// A vocabulary as GGUF stores it; model/ fills it from the file.
struct GgufVocabulary {
  std::string where;  // file, for messages
  std::string model;  // tokenizer.ggml.model: "gpt2"
  std::string pre;    // tokenizer.ggml.pre: "gpt-2", "smollm", …
  std::vector<std::string> tokens;
  std::vector<int64_t> token_types;  // 1 normal, 2 unknown, 3 control, 4 user-defined, 5 unused, 6 byte
  std::vector<std::string> merges;
  std::optional<int64_t> bos, eos;
  bool add_bos = false;
  std::string chat_template;  // empty where the file has none
};

// Immutable and safe to share between threads.
class Tokenizer {
 public:
  // Errors (kInput): unsupported model or pre-tokenizer (named), merges that name missing tokens, ids out of range,
  // duplicate tokens, malformed JSON.
  static Tokenizer FromTokenizerJson(
      const std::filesystem::path& tokenizer_json);  // reads tokenizer_config.json beside it
  static Tokenizer FromGguf(const GgufVocabulary& vocabulary);
  static Tokenizer FromTiktoken(
      const std::filesystem::path& ranks);  // GPT-2's file; adds <|endoftext|> behind the ranks

  // Plain text: special tokens in it are not recognised (text from users, datasets and documents). Bytes for which the
  // vocabulary has no token (in SmolLM2's a few control characters) are left out.
  std::vector<TokenId> Encode(std::string_view text) const;
  // Text of a chat template: special tokens are recognised.
  std::vector<TokenId> EncodeWithSpecial(std::string_view text) const;

  // The bytes of the tokens; invalid UTF-8 becomes U+FFFD. Special tokens are left out unless asked for.
  std::string Decode(std::span<const TokenId> ids, bool with_special = false) const;

  int vocab_size() const;
  size_t bytes() const;  // of its tables in memory
  std::optional<TokenId> bos() const;
  std::optional<TokenId> eos() const;
  std::string_view pre() const;              // the rule that splits text into words, as tokenizer.ggml.pre names it
  bool add_bos() const;                      // whether the model's tokenizer puts BOS before text
  bool IsEndOfGeneration(TokenId id) const;  // eos, <|im_end|>, <|endoftext|>, …
  const std::string& chat_template() const;  // source text; empty where there is none

  struct Impl;
  explicit Tokenizer(std::shared_ptr<const Impl> impl) : impl_(std::move(impl)) {}

 private:
  std::shared_ptr<const Impl> impl_;
};

}  // namespace qad
