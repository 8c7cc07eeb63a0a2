#include "text/prompt.h"

#include "base/error.h"

namespace qad {
namespace {

bool HasSystem(const Item& item) { return !item.messages.empty() && item.messages.front().role == "system"; }

}  // namespace

std::string WithPassages(std::span<const Passage> passages, const std::string& question) {
  if (passages.empty()) return question;
  std::string text = "Use these passages:\n";
  for (const Passage& passage : passages) text += fmt::format("[{}] {}\n", passage.id, passage.text);
  return text + "\n" + question;
}

std::vector<Message> BuildMessages(const Item& item, const PromptParts& parts) {
  std::vector<Message> messages;
  if (HasSystem(item))
    messages.push_back(item.messages.front());
  else if (!parts.system.empty())
    messages.push_back({"system", parts.system});
  for (const Item& shot : parts.shots) {
    for (size_t i = HasSystem(shot) ? 1 : 0; i < shot.messages.size(); ++i) messages.push_back(shot.messages[i]);
    messages.push_back({"assistant", shot.completion});
  }
  const std::span<const Passage> passages =
      item.passages.empty() ? parts.passages : std::span<const Passage>(item.passages);
  for (size_t i = HasSystem(item) ? 1 : 0; i < item.messages.size(); ++i) {
    Message message = item.messages[i];
    if (i + 1 == item.messages.size()) message.content = WithPassages(passages, message.content);
    messages.push_back(std::move(message));
  }
  return messages;
}

}  // namespace qad
