// dump_logits MODEL --ids 1,2,3 [--adapter FOLDER]: the logits of every position as JSON, {"logits": [[…] …]}, for the
// checks of scripts/interop. No chat template, no BOS: the ids are the input.
#include <CLI/CLI.hpp>
#include <cstdio>
#include <numeric>
#include <optional>
#include <string>
#include <vector>

#include "adapt/lora.h"
#include "base/error.h"
#include "io/model_files.h"
#include "model/kv_cache.h"

namespace qad {
namespace {

struct Options {
  std::string model, adapter;
  std::vector<TokenId> ids;
  int threads = 0;
  bool exact = false;
};

void CheckIds(const Options& options, const ModelConfig& config) {
  for (const TokenId id : options.ids)
    if (id < 0 || static_cast<size_t>(id) >= config.vocab)
      Fail(ErrorKind::kUsage, "--ids: {} is none of the model's {} tokens", id, config.vocab);
  if (options.ids.size() > config.max_positions)
    Fail(ErrorKind::kUsage, "--ids: {} tokens, but the model has {} positions", options.ids.size(),
         config.max_positions);
}

void DumpLogits(const Options& options) {
  Context context(options.exact ? Numerics::kExact : Numerics::kFast, options.threads);
  const ModelFiles files = OpenModel(ResolveModel(options.model));
  Transformer model(std::make_shared<Weights>(PlanOf(files, WeightMode::kAsStored), files));
  CheckIds(options, model.config());
  std::optional<LoraAdapter> adapter;
  if (!options.adapter.empty()) adapter.emplace(model, options.adapter).AttachTo(model);

  const size_t count = options.ids.size(), vocab = model.config().vocab;
  KvCache cache(model.config(), 1, count, options.exact ? FormatId::kF32 : FormatId::kF16);
  const std::vector<Segment> segments = {{.slot = 0, .start = 0, .tokens = options.ids}};
  std::vector<size_t> wanted(count);
  std::iota(wanted.begin(), wanted.end(), size_t{0});
  std::vector<float> logits(count * vocab);
  model.Forward(context, segments, cache, wanted, logits.data());

  // Written by hand: a document of millions of numbers is not worth a tree. Nine digits give back every f32.
  std::fputs("{\"logits\": [", stdout);
  for (size_t row = 0; row < count; ++row) {
    for (size_t i = 0; i < vocab; ++i)
      std::fprintf(stdout, "%s%.9g",
                   i > 0     ? ","
                   : row > 0 ? "],\n["
                             : "[",
                   static_cast<double>(logits[row * vocab + i]));
  }
  std::fputs("]]}\n", stdout);
}

}  // namespace
}  // namespace qad

int main(int argc, char** argv) {
  qad::Options options;
  CLI::App app("Prints logits as JSON");
  app.add_option("model", options.model, "folder, .gguf file, or name in qad's cache")->required();
  app.add_option("--ids", options.ids, "token ids, separated by commas")->required()->delimiter(',');
  app.add_option("--adapter", options.adapter, "a PEFT LoRA folder");
  app.add_option("--threads", options.threads, "0: all cores")->check(CLI::NonNegativeNumber);
  app.add_flag("--exact", options.exact, "f32 activations, accumulation and cache");
  CLI11_PARSE(app, argc, argv);
  try {
    qad::DumpLogits(options);
  } catch (const qad::Error& error) {
    std::fprintf(stderr, "dump_logits: %s\n", error.what());
    return error.exit_code();
  }
  return 0;
}
