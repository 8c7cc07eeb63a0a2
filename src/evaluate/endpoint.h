// A model behind an HTTP endpoint that speaks OpenAI's chat completions, streamed: llama.cpp's server, vLLM, and most
// others do. Format: platform.openai.com/docs/api-reference/chat; events: WHATWG HTML, "server-sent events".
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/dataset.h"
#include "text/tokenizer.h"

namespace qad {

struct EndpointOptions {
  std::string url;           // "http://127.0.0.1:8080/v1"; /chat/completions is added
  std::string model;         // as the endpoint calls it
  std::string key_variable;  // of the environment, with the secret; empty: none is sent
  double timeout = 120;      // seconds for an answer
  int attempts = 3;          // of each answer, where the endpoint is busy, broken or away
};

// http or https, and nothing in it that may be a secret or would cut what is put behind it: no user and password, no
// query, no fragment. Addresses are shown and stored.
bool IsPlainAddress(std::string_view url);

struct EndpointAnswer {
  std::string text;
  bool truncated = false;                               // stopped by max_tokens
  std::optional<int64_t> prompt_tokens, output_tokens;  // of its usage, where it says any
  double first_token_seconds = 0, seconds = 0;          // from the request's start; without any text both are the whole
};

// The events of an answer, in whatever pieces they arrive.
class EventReader {
 public:
  explicit EventReader(std::string where) : where_(std::move(where)) {}
  // Returns whether text came with it. Errors (kFailed): data that is no JSON of a completion; more than 16 MiB.
  bool Read(std::string_view bytes);
  bool ended() const { return ended_; }  // "[DONE]" or a finish_reason was there
  bool any() const { return any_; }      // events at all
  // What the endpoint says went wrong in the middle.
  const std::optional<std::string>& failure() const { return failure_; }
  const EndpointAnswer& answer() const { return answer_; }

 private:
  bool ReadEvent(std::string_view data);
  std::string where_, line_;
  size_t bytes_ = 0;
  bool ended_ = false, any_ = false;
  std::optional<std::string> failure_;
  EndpointAnswer answer_;
};

class Endpoint {
 public:
  // Errors (kUsage): the key's variable is not set; the URL is not IsPlainAddress.
  explicit Endpoint(EndpointOptions options);
  ~Endpoint();
  Endpoint(const Endpoint&) = delete;
  Endpoint& operator=(const Endpoint&) = delete;

  // Waits 1, 2, … seconds between attempts. Errors (kFailed): not reached, no answer in time, an answer of another
  // shape, server errors: after all attempts; (kInput): the request itself is refused (400 to 499 but 408 and 429),
  // with what the endpoint says. (kInterrupted). `shown` gets the text as it comes; may be empty. An answer that breaks
  // off and is asked for again begins on a new line there.
  EndpointAnswer Ask(std::span<const Message> messages, int max_tokens, double temperature, uint64_t seed,
                     const std::function<void(std::string_view)>& shown = {});
  // One token asked for: whether there is anybody, before hours of work. Errors: as Ask.
  void RequireThere();

 private:
  struct Connection;
  EndpointOptions options_;
  std::unique_ptr<Connection> connection_;
};

// Whether counts of tokens can be true of these texts: none for some text, more tokens than bytes (and what a template
// adds), more than was asked for.
bool IsPlausible(const EndpointAnswer& answer, size_t prompt_bytes, size_t messages, int max_tokens);

// What an answer says of its tokens; kDoubtful: something, but nothing that IsPlausible.
enum class Usage : uint8_t { kGiven, kMissing, kDoubtful };
struct TokenCounts {
  int64_t prompt = 0, output = 0;
  Usage usage = Usage::kGiven;
};
// By the answer's usage; where that is missing or doubtful, `prompt_tokens` and what `tokenizer` makes of the text.
TokenCounts CountTokens(const EndpointAnswer& answer, std::span<const Message> messages, int max_tokens,
                        size_t prompt_tokens, const Tokenizer& tokenizer);

}  // namespace qad
