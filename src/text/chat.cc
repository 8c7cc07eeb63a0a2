#include "text/chat.h"

#include "base/error.h"
#include "base/hash.h"

namespace qad {
namespace {

// SmolLM2-Instruct's template, as its GGUF and tokenizer_config.json carry it. Line ends inside its literals are real
// ones in some files and "\n" in others.
constexpr std::string_view kSmolLm2 =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + "
    "message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}";
constexpr std::string_view kSmolLm2System = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";

std::string WithRealLineEnds(std::string_view source) {
  std::string out;
  for (size_t i = 0; i < source.size(); ++i) {
    const bool escaped = source[i] == '\\' && i + 1 < source.size() && source[i + 1] == 'n';
    out.push_back(escaped ? '\n' : source[i]);
    i += escaped ? 1 : 0;
  }
  return out;
}

}  // namespace

ChatTemplate ChatTemplate::FromSource(const std::string& source, const std::string& where) {
  if (source.empty()) return ChatTemplate(Kind::kPlain);
  if (WithRealLineEnds(source) == kSmolLm2) return ChatTemplate(Kind::kChatMlSmolLm2);
  FailInput(
      "{}: the chat template (SHA-256 {}…, {} characters) is not one this version understands, and a guess would make "
      "wrong prompts; it knows SmolLM2's, and models without a template",
      where, Sha256(source).substr(0, 12), source.size());
}

std::string ChatTemplate::end_of_turn() const { return kind_ == Kind::kPlain ? "" : "<|im_end|>"; }

std::vector<ChatPiece> ChatTemplate::Render(const std::vector<Message>& messages, bool add_generation_prompt) const {
  std::vector<ChatPiece> pieces;
  if (kind_ == Kind::kPlain) {
    for (size_t i = 0; i < messages.size(); ++i) {
      if (i > 0) pieces.push_back({"\n\n", true});
      pieces.push_back({messages[i].content, false});
    }
    if (add_generation_prompt && !messages.empty()) pieces.push_back({"\n", true});
    return pieces;
  }
  if (!messages.empty() && messages.front().role != "system")
    pieces.push_back({fmt::format("<|im_start|>system\n{}<|im_end|>\n", kSmolLm2System), true});
  for (const Message& message : messages) {
    pieces.push_back({"<|im_start|>", true});
    pieces.push_back({message.role + "\n" + message.content, false});
    pieces.push_back({"<|im_end|>\n", true});
  }
  if (add_generation_prompt) pieces.push_back({"<|im_start|>assistant\n", true});
  return pieces;
}

std::vector<TokenId> ChatTemplate::EncodeEnd(const Tokenizer& tokenizer) const {
  std::vector<TokenId> end = tokenizer.EncodeWithSpecial(end_of_turn());
  if (tokenizer.eos() && (end.empty() || end.back() != *tokenizer.eos())) end.push_back(*tokenizer.eos());
  return end;
}

std::vector<TokenId> ChatTemplate::Encode(const Tokenizer& tokenizer, const std::vector<Message>& messages,
                                          bool add_generation_prompt) const {
  std::vector<TokenId> ids;
  if (tokenizer.add_bos()) ids.push_back(*tokenizer.bos());
  // Pieces of one kind are joined before they are tokenized: merges may cross from one to the next.
  const std::vector<ChatPiece> pieces = Render(messages, add_generation_prompt);
  for (size_t i = 0; i < pieces.size();) {
    std::string text;
    const bool from_template = pieces[i].from_template;
    for (; i < pieces.size() && pieces[i].from_template == from_template; ++i) text += pieces[i].text;
    const std::vector<TokenId> part = from_template ? tokenizer.EncodeWithSpecial(text) : tokenizer.Encode(text);
    ids.insert(ids.end(), part.begin(), part.end());
  }
  return ids;
}

}  // namespace qad
