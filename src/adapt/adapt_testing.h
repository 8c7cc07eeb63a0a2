// Examples for this room's tests (the goldens' batches, and random ones), and training a tiny model on them.
#pragma once

#include <string>

#include "adapt/examples.h"
#include "adapt/trainer.h"
#include "base/json.h"
#include "base/random.h"
#include "base/test_files.h"
#include "model/model_testing.h"

namespace qad {

inline Json TestModelGolden(const std::string& name) { return ReadJsonFile(TinyPath(name) / "golden.json"); }

// The golden's packed batch, a sequence an example.
inline ExampleSet GoldenExamples(const Json& golden) {
  const auto tokens = golden["batch"]["tokens"].get<std::vector<TokenId>>();
  const auto labels = golden["batch"]["labels"].get<std::vector<TokenId>>();
  ExampleSet set;
  std::ptrdiff_t at = 0;
  for (const auto length : golden["batch"]["lengths"].get<std::vector<std::ptrdiff_t>>()) {
    set.examples.push_back({.tokens = {tokens.begin() + at, tokens.begin() + at + length},
                            .labels = {labels.begin() + at, labels.begin() + at + length}});
    at += length;
  }
  return set;
}

// Seeded random sequences of 4 … 15 tokens, every position supervised but the last.
inline ExampleSet RandomExamples(size_t count, TokenId vocab, uint64_t seed) {
  ExampleSet set;
  for (size_t i = 0; i < count; ++i) {
    Random random(seed, i);
    TrainExample example;
    example.id = "item" + std::to_string(i);
    const size_t length = 4 + random.Below(12);
    for (size_t t = 0; t < length; ++t)
      example.tokens.push_back(static_cast<TokenId>(random.Below(static_cast<uint64_t>(vocab))));
    example.labels.assign(example.tokens.begin() + 1, example.tokens.end());
    example.labels.push_back(kNotSupervised);
    set.examples.push_back(std::move(example));
  }
  return set;
}

// `prompt` tokens 0, 1, 2 … that nothing is trained on, then `own` times `mark`, of which the last is.
inline TrainExample Prompted(size_t prompt, size_t own, TokenId mark) {
  TrainExample example;
  for (size_t t = 0; t < prompt; ++t) example.tokens.push_back(static_cast<TokenId>(t));
  example.tokens.insert(example.tokens.end(), own, mark);
  example.labels.assign(prompt + own, kNotSupervised);
  example.labels.back() = mark;
  return example;
}

// Two ways to begin, which half of the examples share each.
inline ExampleSet PromptedExamples(size_t count) {
  ExampleSet set;
  for (size_t i = 0; i < count; ++i) {
    set.examples.push_back(Prompted(20 + i % 2 * 5, 1 + i % 5, static_cast<TokenId>(40 + i)));
    set.examples.back().tokens[0] += static_cast<TokenId>(i % 2);
  }
  return set;
}

struct Trained {
  TrainResult result;
  std::vector<float> values;
};

struct Killed {};

inline TrainHooks Quiet() { return {.base = {.name = "base"}, .quiet = true}; }

// Trains on a tiny model from a fresh adapter.
inline Trained TrainTiny(const ExampleSet& train, const ExampleSet& dev, const TrainOptions& options,
                         const TrainHooks& hooks, const LoraOptions& lora = {}, int threads = 1, uint64_t seed = 1) {
  Transformer model = LoadTransformer(TinyPath("llama-gqa"));
  Context context(Numerics::kFast, threads);
  LoraAdapter adapter(model, lora, seed);
  Trained run;
  run.result = Train(context, model, adapter, train, dev, options, seed, hooks);
  run.values.assign(adapter.values().begin(), adapter.values().end());
  return run;
}

inline TrainOptions TinyOptions() {
  return {
      .epochs = 3, .batch_size = 4, .micro_batch_tokens = 24, .learning_rate = 0.01, .save_every = 2, .exact = true};
}

}  // namespace qad
