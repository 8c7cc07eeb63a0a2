// qad tokenize MODEL [--file F | --text T] [--no-special]: token ids of a text, on one line.
#include <fmt/format.h>

#include <iostream>
#include <iterator>

#include "base/error.h"
#include "base/files.h"
#include "commands/command.h"
#include "model/load.h"

namespace qad {
namespace {
namespace fs = std::filesystem;

struct Options {
  std::string model, file, text;
  bool from_text = false, no_special = false;
};

// A tokenizer needs less than a model: a rank file, a folder with nothing but tokenizer.json, a GGUF without tensors.
Tokenizer OpenTokenizer(const std::string& model) {
  if (fs::path(model).extension() == ".tiktoken") return Tokenizer::FromTiktoken(model);
  const fs::path path = ResolveModel(model);
  if (fs::exists(path / "tokenizer.json")) return Tokenizer::FromTokenizerJson(path / "tokenizer.json");
  return LoadTokenizer(OpenModel(path));
}

std::string ReadText(const Options& options) {
  if (options.from_text) return options.text;
  if (!options.file.empty()) return ReadTextFile(options.file);
  return {std::istreambuf_iterator<char>(std::cin), {}};
}

std::vector<TokenId> Ids(const Tokenizer& tokenizer, const std::string& text, bool no_special) {
  if (no_special) return tokenizer.Encode(text);
  std::vector<TokenId> ids = tokenizer.EncodeWithSpecial(text);
  if (tokenizer.add_bos()) ids.insert(ids.begin(), *tokenizer.bos());
  return ids;
}

void RunTokenize(const Options& options, const GlobalFlags& flags) {
  const std::vector<TokenId> ids = Ids(OpenTokenizer(options.model), ReadText(options), options.no_special);
  if (flags.json) return PrintJson(Json{{"ids", ids}});
  for (size_t i = 0; i < ids.size(); ++i) fmt::print("{}{}", i > 0 ? " " : "", ids[i]);
  fmt::print("\n");
}

}  // namespace

std::function<void()> AddTokenizeCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model,
                 "model (a vocabulary is enough), folder with tokenizer.json, or .tiktoken file")
      ->required();
  auto* file = app.add_option("--file", options->file, "text; without --file and --text it is read from stdin");
  auto* text = app.add_option("--text", options->text, "the text itself")->excludes(file);
  app.add_flag("--no-special", options->no_special,
               "text as users write it: special tokens are not recognised, none is added");
  return [options, text, &flags] {
    options->from_text = text->count() > 0;
    RunTokenize(*options, flags);
  };
}

}  // namespace qad
