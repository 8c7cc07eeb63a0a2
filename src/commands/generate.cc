// qad generate MODEL [--adapter PATH …] (--prompt TEXT | --chat TEXT)
#include <fmt/format.h>

#include <memory>

#include "adapt/adapter_set.h"
#include "base/error.h"
#include "base/process.h"
#include "commands/command.h"
#include "model/generation.h"
#include "model/load.h"
#include "text/text_stream.h"

namespace qad {
namespace {

struct Options {
  std::string model, prompt, chat, format = "as-stored", kv_type = "f16";
  std::vector<std::string> adapters;
  GenerateOptions generate;
  bool exact = false;
};

std::vector<TokenId> EncodePrompt(const Model& model, const Options& options) {
  if (!options.chat.empty()) return model.chat.Encode(model.tokenizer, {{"user", options.chat}}, true);
  std::vector<TokenId> ids = model.tokenizer.Encode(options.prompt);
  if (model.tokenizer.add_bos()) ids.insert(ids.begin(), *model.tokenizer.bos());
  return ids;
}

void Generate(const Options& options, const GlobalFlags& flags) {
  Context context(options.exact ? Numerics::kExact : Numerics::kFast, flags.threads);
  Model model = LoadModel(options.model, WeightModeOf(options.format));
  const AdapterSet adapters(model.transformer, options.adapters);
  const std::vector<std::vector<TokenId>> prompts{EncodePrompt(model, options)};
  const std::function<void(std::string_view)> print = [](std::string_view text) {
    std::fwrite(text.data(), 1, text.size(), stdout);
    std::fflush(stdout);
  };
  TextStream stream(model.tokenizer, print);
  GenerateOptions generate = options.generate;
  generate.kv_type = ParseKvType(options.kv_type, model.config());
  if (!flags.json) generate.on_token = [&](size_t, TokenId token) { stream.Add(token); };
  const Generated out = qad::Generate(context, model.transformer, model.tokenizer, prompts, generate).front();
  if (!flags.json) {
    stream.End();
    std::fputs("\n", stdout);
    return;
  }
  PrintJson(Json{{"text", model.tokenizer.Decode(out.tokens)},
                 {"ids", out.tokens},
                 {"prompt_tokens", prompts.front().size()},
                 {"truncated", out.truncated},
                 {"time_to_first_token", out.first_token_seconds},
                 {"seconds", out.seconds},
                 {"peak_rss_bytes", PeakRssBytes()}});
}

}  // namespace

std::function<void()> AddGenerateCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "model: folder, .gguf file, hub id in the local cache, or name")->required();
  AddAdapterOption(app, options->adapters);
  auto* prompt = app.add_option("--prompt", options->prompt, "text to continue");
  app.add_option("--chat", options->chat, "a user's message, put into the model's chat template")->excludes(prompt);
  app.add_option("--format", options->format, "weights in memory")
      ->check(CLI::IsMember({"as-stored", "f32", "bf16"}))
      ->capture_default_str();
  app.add_option("--kv-type", options->kv_type, "format of the KV cache")->capture_default_str();
  app.add_option("--max-new-tokens", options->generate.max_new_tokens, "of the answer at most")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--temperature", options->generate.temperature, "0: greedy")
      ->check(CLI::Range(0.0, 100.0))
      ->capture_default_str();
  app.add_option("--top-k", options->generate.top_k, "0: off")->check(CLI::Range(0, 1 << 24))->capture_default_str();
  app.add_option("--top-p", options->generate.top_p)->check(CLI::Range(0.0, 1.0))->capture_default_str();
  app.add_option("--seed", options->generate.seed, "of what is drawn at a temperature above 0")->capture_default_str();
  app.add_flag("--exact", options->exact, "f32 arithmetic throughout");
  return [options, &flags] {
    if (options->prompt.empty() && options->chat.empty())
      Fail(ErrorKind::kUsage, "generate: nothing to continue; give --prompt TEXT or --chat TEXT");
    Generate(*options, flags);
  };
}

}  // namespace qad
