#include "evaluate/before_update.h"

#include <set>
#include <utility>

namespace qad {
namespace {

bool IsLookedUp(const Item& item) {
  return !item.plain_text && item.schema.empty() && item.answerable && item.retrieve && item.passages.empty();
}

bool HasChanged(const Item& item) { return !item.reject.empty() && item.slice.find("changed") != std::string::npos; }

}  // namespace

std::vector<Item> BeforeUpdate(std::span<const Item> items) {
  std::set<std::string> changing;
  for (const Item& item : items)
    if (IsLookedUp(item) && HasChanged(item)) changing.insert(TopSlice(item.slice));
  std::vector<Item> before;
  for (const Item& item : items) {
    if (!IsLookedUp(item) || !changing.contains(TopSlice(item.slice))) continue;
    before.push_back(item);
    if (!HasChanged(item)) continue;
    Item& turned = before.back();
    std::swap(turned.accept, turned.reject);
    if (turned.reject.empty()) turned.reject = {item.completion};  // what is right now where nothing is listed
    turned.completion = turned.accept.front();
  }
  return before;
}

}  // namespace qad
