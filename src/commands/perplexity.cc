// qad perplexity MODEL --file TEXT: perplexity ± error, and KL divergence from a reference model.
#include "evaluate/perplexity.h"

#include <fmt/format.h>

#include <memory>

#include "adapt/adapter_set.h"
#include "base/files.h"
#include "commands/command.h"
#include "model/load.h"

namespace qad {
namespace {

struct Options {
  std::string model, reference, file, format = "as-stored", kv_type = "f32", reference_format = "bf16",
                                      protocol = "all", rows = "prompts";
  std::vector<std::string> adapters;
  PerplexityOptions perplexity;
  bool exact = false;
};

void RunPerplexity(Options options, const GlobalFlags& flags) {
  const Numerics numerics = options.exact ? Numerics::kExact : Numerics::kFast;
  Context context(numerics, flags.threads), reference_context(numerics, flags.threads);
  Model model = LoadModel(options.model, WeightModeOf(options.format));
  const AdapterSet adapters(model.transformer, options.adapters);
  std::unique_ptr<Model> reference;
  if (!options.reference.empty())
    reference = std::make_unique<Model>(LoadModel(options.reference, WeightModeOf(options.reference_format)));
  const std::vector<TokenId> tokens = model.tokenizer.Encode(ReadTextFile(options.file));
  options.perplexity.text = options.file + ":";
  if (model.tokenizer.add_bos()) options.perplexity.bos = model.tokenizer.bos();
  options.perplexity.protocol = options.protocol == "all" ? WindowProtocol::kAll : WindowProtocol::kLlamaCpp;
  options.perplexity.rows = options.rows == "answers" ? RowsAre::kOfAnswers : RowsAre::kOfPrompts;
  options.perplexity.quiet = flags.json;
  options.perplexity.kv_type = ParseKvType(options.kv_type, model.config());
  const ScoredModel scored{&context, &model.transformer};
  const ScoredModel other{&reference_context, reference == nullptr ? nullptr : &reference->transformer};
  const PerplexityResult result =
      Perplexity(scored, reference == nullptr ? nullptr : &other, tokens, options.perplexity);
  if (flags.json) {
    Json json{{"perplexity", result.perplexity},
              {"perplexity_stderr", result.perplexity_stderr},
              {"tokens", result.tokens},
              {"windows", result.windows},
              {"context", options.perplexity.context},
              {"protocol", options.protocol},
              {"rows", options.rows}};
    if (result.has_reference) {
      json["kl_divergence"] = result.kl_divergence;
      json["kl_divergence_stderr"] = result.kl_stderr;
      json["same_top1"] = result.same_top1;
    }
    PrintJson(json);
    return;
  }
  fmt::print("perplexity     {:.4f} ± {:.4f}   ({} tokens, {} windows of {})\n", result.perplexity,
             result.perplexity_stderr, result.tokens, result.windows, options.perplexity.context);
  if (result.has_reference)
    fmt::print("KL divergence  {:.6f} ± {:.6f} nats from {}\nsame top-1     {:.2f} %\n", result.kl_divergence,
               result.kl_stderr, options.reference, 100 * result.same_top1);
}

}  // namespace

std::function<void()> AddPerplexityCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  const auto formats = CLI::IsMember({"as-stored", "f32", "bf16"});
  app.add_option("model", options->model, "model: folder, .gguf file, hub id in the local cache, or name")->required();
  AddAdapterOption(app, options->adapters);
  app.add_option("--file", options->file, "text, UTF-8")->required();
  app.add_option("--context", options->perplexity.context, "tokens of a window")
      ->check(CLI::Range(2, 1 << 20))
      ->capture_default_str();
  app.add_option("--windows", options->perplexity.max_windows, "at most so many, 0: all")
      ->check(CLI::Range(0, 1 << 24))
      ->capture_default_str();
  app.add_option("--protocol", options->protocol,
                 "all positions, or the second half of each window as llama-perplexity does")
      ->check(CLI::IsMember({"all", "llama.cpp"}))
      ->capture_default_str();
  app.add_option("--rows", options->rows,
                 "multiply the text as a prompt, or as answers are decoded: with codes, activations in int8")
      ->check(CLI::IsMember({"prompts", "answers"}))
      ->capture_default_str();
  app.add_option("--format", options->format, "weights in memory")->check(formats)->capture_default_str();
  app.add_option("--kv-type", options->kv_type, "format of the model's KV cache; the reference's is f32")
      ->capture_default_str();
  app.add_option("--reference", options->reference,
                 "model whose predictions are the truth for KL divergence and same top-1");
  app.add_option("--reference-format", options->reference_format, "the reference's weights in memory")
      ->check(formats)
      ->capture_default_str();
  app.add_flag("--exact", options->exact, "f32 arithmetic throughout");
  return [options, &flags] { RunPerplexity(*options, flags); };
}

}  // namespace qad
