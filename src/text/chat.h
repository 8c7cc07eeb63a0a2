// Chat templates. A template whose source is not one of those understood is an error, never a wrong prompt.
#pragma once

#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace qad {

struct Message {
  std::string role;  // "system", "user", "assistant"
  std::string content;
};

// A rendered conversation in pieces: text of the template (special tokens on) and text of people (special tokens off),
// so that no message can forge a turn.
struct ChatPiece {
  std::string text;
  bool from_template;
};

class ChatTemplate {
 public:
  // Recognises the template by its source (SmolLM2's ChatML so far). Where the source is empty: plain prompts, i.e.
  // messages joined by blank lines (GPT-2 and other base models have no template).
  // Errors (kInput): a source that is not understood; says how to go on.
  static ChatTemplate FromSource(const std::string& source, const std::string& where);

  std::vector<ChatPiece> Render(const std::vector<Message>& messages, bool add_generation_prompt) const;
  std::vector<TokenId> Encode(const Tokenizer& tokenizer, const std::vector<Message>& messages,
                              bool add_generation_prompt) const;
  // Where the assistant's turn ends, as template text ("<|im_end|>" …).
  std::string end_of_turn() const;
  // What an answer ends with, at whose first token generation stops: the turn's end, and the end of sequence where that
  // is another. Training appends it to completions.
  std::vector<TokenId> EncodeEnd(const Tokenizer& tokenizer) const;

 private:
  enum class Kind { kPlain, kChatMlSmolLm2 };
  explicit ChatTemplate(Kind kind) : kind_(kind) {}
  Kind kind_;
};

}  // namespace qad
