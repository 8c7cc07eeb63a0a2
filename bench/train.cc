// train MODEL --ids FILE [--output FOLDER]: speed and memory of LoRA training, all linear layers, on fixed sequences;
// JSON on stdout.
//
// FILE holds one JSON array of token ids, cut into (1 + steps) × batch sequences of `length` tokens, each predicting
// its next token. The trainer's shuffle is undone, so that step k sees the k-th batch of the file. The adapter is saved
// where --output says, and as it began where --initial does. The first step warms up and is not timed.
// bench/peers/train_peft.py does the same with PEFT.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <map>
#include <string>
#include <vector>

#include "adapt/batches.h"
#include "adapt/seeds.h"
#include "adapt/trainer.h"
#include "base/error.h"
#include "base/json.h"
#include "base/process.h"
#include "io/model_files.h"

namespace qad {
namespace {

constexpr uint64_t kSeed = 0;

struct Options {
  std::string model, ids, output, initial, weights = "bf16";
  double learning_rate = 1e-3;
  size_t batch = 4, length = 128, steps = 6;
  int threads = 0;
  bool exact = false, split = false, recompute = false;
  LoraOptions lora{.r = 8, .alpha = 16, .dropout = 0};
};

// Places the sequences where the trainer's shuffle looks for them.
void Unshuffle(ExampleSet& set, size_t batch) {
  StepPlan plan(set.examples.size(), batch, 1, SeedFor(kSeed, SeedPurpose::kOrder));
  std::vector<TrainExample> placed(set.examples.size());
  size_t next = 0;
  for (int64_t step = 0; step < plan.total_steps(); ++step)
    for (const size_t place : plan.ExamplesOf(step)) placed[place] = std::move(set.examples[next++]);
  set.examples = std::move(placed);
}

ExampleSet CutIntoSequences(const Options& options, size_t vocab) {
  const Json ids = ReadJsonFile(options.ids);
  const size_t wanted = (1 + options.steps) * options.batch * options.length;
  if (!ids.is_array() || ids.size() < wanted)
    FailInput("{}: must hold an array of at least {} token ids", options.ids, wanted);
  ExampleSet set;
  for (size_t at = 0; at < wanted; at += options.length) {
    TrainExample example;
    for (size_t i = at; i < at + options.length; ++i) {
      const Json& id = ids[i];
      if (!id.is_number_unsigned() || id.get<uint64_t>() >= vocab)
        FailInput("{}: element {} is no token id", options.ids, i);
      example.tokens.push_back(id.get<TokenId>());
    }
    example.labels.assign(example.tokens.begin() + 1, example.tokens.end());
    example.labels.push_back(kNotSupervised);
    set.examples.push_back(std::move(example));
  }
  return set;
}

// "q_proj=2" and so on.
std::map<std::string, double> PatternOf(const std::vector<std::string>& words) {
  std::map<std::string, double> pattern;
  for (const std::string& word : words) {
    const size_t equals = word.rfind('=');
    if (equals == std::string::npos) Fail(ErrorKind::kUsage, "{}: must be EXPRESSION=NUMBER", word);
    pattern[word.substr(0, equals)] = std::strtod(word.c_str() + equals + 1, nullptr);
  }
  return pattern;
}

WeightMode ModeOf(const std::string& weights) {
  if (weights == "f32") return WeightMode::kF32;
  return weights == "bf16" ? WeightMode::kBF16 : WeightMode::kAsStored;
}

Json Measure(const Options& options) {
  Context context(options.exact || options.split ? Numerics::kExact : Numerics::kFast, options.threads);
  const ModelFiles files = OpenModel(ResolveModel(options.model));
  Transformer model(std::make_shared<Weights>(PlanOf(files, ModeOf(options.weights)), files));
  LoraAdapter adapter(model, options.lora, kSeed);
  if (!options.initial.empty()) adapter.Save(options.initial, {.name = options.model});
  ExampleSet train = CutIntoSequences(options, model.config().vocab);
  Unshuffle(train, options.batch);
  const TrainOptions settings{.epochs = 1,
                              .batch_size = static_cast<int>(options.batch),
                              .micro_batch_tokens = static_cast<int>(options.batch * options.length),
                              .learning_rate = options.learning_rate,
                              .schedule = Schedule::kConstant,
                              .warmup_ratio = 0,
                              .weight_decay = 0.01,
                              .max_grad_norm = 0,
                              .recompute = options.recompute,
                              .exact = options.exact || options.split,
                              .split = options.split};
  using Clock = std::chrono::steady_clock;
  Clock::time_point begin;
  std::clock_t cpu_begin = 0;
  TrainHooks hooks{.output = options.output, .base = {.name = options.model}, .quiet = true};
  hooks.on_step = [&](const TrainProgress& done) {
    if (done.step > 1) return;
    begin = Clock::now();
    cpu_begin = std::clock();
    context.ResetTimers();
  };
  const TrainResult result = Train(context, model, adapter, train, {}, settings, kSeed, hooks);
  const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
  const double cpu_seconds = static_cast<double>(std::clock() - cpu_begin) / CLOCKS_PER_SEC;  // of all threads
  Json by_operation;
  for (size_t i = 0; i < context.seconds.size(); ++i)
    by_operation[std::string(TimedName(static_cast<Timed>(i)))] = context.seconds[i];
  return {{"engine", "qad"},
          {"numerics", options.split   ? "split"
                       : options.exact ? "exact"
                                       : "fast"},
          {"weights", options.weights},
          {"threads", context.threads},
          {"tokens_per_second", static_cast<double>(options.steps * options.batch * options.length) / seconds},
          {"seconds", seconds},
          {"cpu_seconds", cpu_seconds},
          {"seconds_by_operation", by_operation},
          {"trainable_parameters", result.trainable_parameters},
          {"losses", result.losses},
          {"weight_bytes", model.weights().allocated_bytes()},
          {"tape_bytes", result.tape_bytes},
          {"adapter_bytes", result.adapter_bytes + result.gradient_bytes + result.moment_bytes},
          {"scratch_bytes", context.scratch_bytes()},
          {"peak_rss_bytes", PeakRssBytes()}};
}

}  // namespace
}  // namespace qad

int main(int argc, char** argv) {
  qad::Options options;
  CLI::App app("Times LoRA training; JSON on stdout");
  app.add_option("model", options.model, "folder, .gguf file, or name in qad's cache")->required();
  app.add_option("--ids", options.ids, "JSON array of token ids")->required();
  app.add_option("--output", options.output, "folder for the adapter");
  app.add_option("--initial", options.initial, "folder for the adapter as it is before the first step");
  app.add_option("--learning-rate", options.learning_rate, "of AdamW, the same for all steps")
      ->check(CLI::NonNegativeNumber);
  app.add_option("--targets", options.lora.target_modules, "modules or roles")->delimiter(',');
  app.add_option("--batch", options.batch, "sequences a step")->check(CLI::PositiveNumber);
  app.add_option("--length", options.length, "tokens a sequence")->check(CLI::Range(2, 1 << 20));
  app.add_option("--steps", options.steps, "timed steps")->check(CLI::PositiveNumber);
  app.add_option("--rank", options.lora.r, "of the adapters")->check(CLI::PositiveNumber);
  app.add_option("--layers", options.lora.layers_to_transform, "only within these")->delimiter(',');
  for (auto& [name, pattern] : {std::pair("--rank-pattern", &options.lora.rank_pattern),
                                std::pair("--alpha-pattern", &options.lora.alpha_pattern)})
    app.add_option_function<std::vector<std::string>>(
           name, [pattern = pattern](const std::vector<std::string>& words) { *pattern = qad::PatternOf(words); },
           "EXPRESSION=NUMBER of modules that differ")
        ->delimiter(',');
  app.add_flag("--rslora", options.lora.rslora, "scale by alpha over the root of the rank");
  app.add_flag("--recompute", options.recompute, "each block again on the way back");
  app.add_option("--dropout", options.lora.dropout, "of the adapters' input")->check(CLI::Range(0.0, 0.9));
  app.add_option("--weights", options.weights, "how the base is held")
      ->check(CLI::IsMember({"bf16", "f32", "as-stored"}));
  app.add_option("--threads", options.threads, "0: all cores")->check(CLI::NonNegativeNumber);
  app.add_flag("--exact", options.exact, "f32 products");
  app.add_flag("--split", options.split, "f32 products, each in three of bf16 where that is quicker");
  CLI11_PARSE(app, argc, argv);
  try {
    std::fputs(qad::DumpJson(qad::Measure(options)).c_str(), stdout);
  } catch (const qad::Error& error) {
    std::fprintf(stderr, "train: %s\n", error.what());
    return error.exit_code();
  }
  return 0;
}
