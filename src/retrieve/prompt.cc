#include "retrieve/prompt.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/error.h"
#include "retrieve/splitting.h"

namespace qad {
namespace {

bool IsUser(const Message& message) { return message.role == "user"; }

}  // namespace

std::string_view QuestionOf(const Item& item) {
  const auto question = std::find_if(item.messages.rbegin(), item.messages.rend(), IsUser);
  return question == item.messages.rend() ? std::string_view() : question->content;
}

GroundedPrompt PutPassages(std::vector<Message> messages, const std::vector<Passage>& passages) {
  if (passages.empty()) return {std::move(messages), false};
  const auto question = std::find_if(messages.rbegin(), messages.rend(), IsUser);
  if (question == messages.rend()) FailInput("an item has passages but no user message to put them before");
  std::string context = "Context:\n";
  for (const Passage& passage : passages)
    context += fmt::format("[{}] {}\n", SingleSpaced(passage.id), SingleSpaced(passage.text));
  question->content = context + "\n" + question->content;
  return {std::move(messages), true};
}

}  // namespace qad
