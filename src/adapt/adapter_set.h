// Adapters that are served together on one base: their updates add up, each times a weight of its own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "adapt/lora.h"
#include "model/transformer.h"

namespace qad {

class AdapterSet {
 public:
  // "PATH" or "PATH=WEIGHT" each (1 where not given), attached to the model in place of what was. Errors: as
  // LoraAdapter; kUsage, a weight that is no finite number.
  AdapterSet(Transformer& model, const std::vector<std::string>& words);

  size_t bytes() const;

 private:
  std::vector<std::unique_ptr<LoraAdapter>> adapters_;
};

}  // namespace qad
