// Items as they were before the documents' update: what was right then is what is rejected now.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "text/dataset.h"

namespace qad {

// The answerable questions that are looked up, of every topmost slice in which one of them has rejected answers: those
// with their accepted and rejected answers exchanged, the others as they are. Empty where no fact has changed.
std::vector<Item> BeforeUpdate(std::span<const Item> items);

}  // namespace qad
