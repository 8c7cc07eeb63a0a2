// An adapter of the configuration as memory/ is asked about it.
#pragma once

#include "adapt/trainer.h"
#include "experiment/config.h"
#include "memory/training_math.h"

namespace qad {

inline TrainingQuery QueryOf(const AdapterConfig& adapter, TrainingMethod method = TrainingMethod::kLora) {
  return {.method = method,
          .r = adapter.lora.r,
          .targets = adapter.lora.target_modules,
          .tokens = MicroBatchTokens(adapter.train),
          .layers = adapter.lora.layers_to_transform,
          .rank_pattern = adapter.lora.rank_pattern,
          .tape = TapeOf(adapter.train)};
}

}  // namespace qad
