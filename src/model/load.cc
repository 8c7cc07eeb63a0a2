#include "model/load.h"

#include "base/error.h"
#include "base/process.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

GgufVocabulary VocabularyOf(const GgufFile& file) {
  const auto id = [&](const char* key) {
    return file.Has(key) ? std::optional(file.Int(key, 0, INT32_MAX)) : std::nullopt;
  };
  GgufVocabulary vocabulary;
  vocabulary.where = file.path().string();
  vocabulary.model = file.String("tokenizer.ggml.model");
  vocabulary.pre = file.StringOr("tokenizer.ggml.pre", "");
  vocabulary.tokens = file.Strings("tokenizer.ggml.tokens");
  if (file.Has("tokenizer.ggml.token_type")) vocabulary.token_types = file.Ints("tokenizer.ggml.token_type");
  if (file.Has("tokenizer.ggml.merges")) vocabulary.merges = file.Strings("tokenizer.ggml.merges");
  vocabulary.bos = id("tokenizer.ggml.bos_token_id");
  vocabulary.eos = id("tokenizer.ggml.eos_token_id");
  vocabulary.add_bos = file.BoolOr("tokenizer.ggml.add_bos_token", false);
  vocabulary.chat_template = file.StringOr("tokenizer.chat_template", "");
  return vocabulary;
}

Tokenizer ReadTokenizer(const ModelFiles& files) {
  if (files.gguf != nullptr) return Tokenizer::FromGguf(VocabularyOf(*files.gguf));
  if (const fs::path path = files.path / "tokenizer.json"; fs::exists(path)) return Tokenizer::FromTokenizerJson(path);
  if (const fs::path path = files.path / "gpt2.tiktoken"; fs::exists(path)) return Tokenizer::FromTiktoken(path);
  FailInput("{}: no tokenizer.json or gpt2.tiktoken; fetch the model's tokenizer files too", files.path.string());
}

}  // namespace

Tokenizer LoadTokenizer(const ModelFiles& files) {
  Tokenizer tokenizer = ReadTokenizer(files);
  ReturnFreedMemory();  // of what was read it keeps a small part
  return tokenizer;
}

void RequireTogether(const Tokenizer& tokenizer, const ModelConfig& config, const std::string& where) {
  if (static_cast<size_t>(tokenizer.vocab_size()) > config.vocab)
    FailInput("{}: the tokenizer has {} tokens, the model {}; they do not belong together", where,
              tokenizer.vocab_size(), config.vocab);
}

Model LoadModel(const std::string& model, WeightMode mode) {
  const fs::path path = ResolveModel(model);
  const ModelFiles files = OpenModel(path);
  Plan plan = PlanOf(files, mode);
  RequireRunnable(plan.config, ConfigPath(files).string());
  Tokenizer tokenizer = LoadTokenizer(files);
  RequireTogether(tokenizer, plan.config, path.string());
  const ChatTemplate chat = ChatTemplate::FromSource(tokenizer.chat_template(), path.string());
  return {.name = model,
          .path = path,
          .tokenizer = std::move(tokenizer),
          .chat = chat,
          .transformer = Transformer(std::make_shared<const Weights>(std::move(plan), files))};
}

}  // namespace qad
