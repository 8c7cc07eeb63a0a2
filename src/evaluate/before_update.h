// Items as they were before the documents' update: what was right then is what is rejected now.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "text/dataset.h"

namespace qad {

// The answerable questions that are looked up, of every topmost slice in which facts have changed: those about changed
// facts with their accepted and rejected answers exchanged, the others as they are. A fact has changed where the item's
// slice says so ("facts/changed") and it rejects what was right before; elsewhere rejected answers are only wrong.
// Empty where no fact has changed.
std::vector<Item> BeforeUpdate(std::span<const Item> items);

}  // namespace qad
