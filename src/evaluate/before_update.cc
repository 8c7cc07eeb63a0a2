#include "evaluate/before_update.h"

#include <set>
#include <utility>

#include "results/slices.h"

namespace qad {
namespace {

bool IsAsked(const Item& item) { return item.IsLookedUp() && item.answerable; }

bool HasChanged(const Item& item) { return !item.reject.empty() && HasWord(item.slice, "changed"); }

}  // namespace

std::vector<Item> BeforeUpdate(std::span<const Item> items) {
  std::set<std::string> changing;
  for (const Item& item : items)
    if (IsAsked(item) && HasChanged(item)) changing.insert(TopSlice(item.slice));
  std::vector<Item> before;
  for (const Item& item : items) {
    if (!IsAsked(item) || !changing.contains(TopSlice(item.slice))) continue;
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
