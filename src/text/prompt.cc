#include "text/prompt.h"

namespace qad {
namespace {

size_t FirstTurn(const Item& item) { return !item.messages.empty() && item.messages.front().role == "system" ? 1 : 0; }

}  // namespace

std::vector<Message> BuildMessages(const Item& item, const std::string& system, std::span<const Item> shots) {
  std::vector<Message> messages;
  if (FirstTurn(item) == 1)
    messages.push_back(item.messages.front());
  else if (!system.empty() && !item.no_system)
    messages.push_back({"system", system});
  for (const Item& shot : shots) {
    for (size_t i = FirstTurn(shot); i < shot.messages.size(); ++i) messages.push_back(shot.messages[i]);
    messages.push_back({"assistant", shot.completion});
  }
  for (size_t i = FirstTurn(item); i < item.messages.size(); ++i) messages.push_back(item.messages[i]);
  return messages;
}

}  // namespace qad
