#include "quantize/gguf_metadata.h"

#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "text/tokenizer.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

// tokenizer.ggml.token_type
constexpr int32_t kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5;

uint32_t U32(size_t value) { return static_cast<uint32_t>(value); }

void SetArchitecture(const ModelConfig& c, GgufMetadata& out) {
  const std::string name(c.family->gguf_architecture);
  const auto key = [&](const char* field) { return name + "." + field; };
  out.SetString("general.architecture", name);
  out.SetString("general.type", "model");
  out.SetU32(key("block_count"), U32(c.layers));
  out.SetU32(key("context_length"), U32(c.max_positions));
  out.SetU32(key("embedding_length"), U32(c.hidden));
  out.SetU32(key("feed_forward_length"), U32(c.intermediate));
  out.SetU32(key("attention.head_count"), U32(c.heads));
  out.SetU32(key("vocab_size"), U32(c.vocab));
  if (c.family->traits.norm == Norm::kLayer) {
    out.SetF32(key("attention.layer_norm_epsilon"), c.norm_eps);
    return;
  }
  out.SetU32(key("attention.head_count_kv"), U32(c.kv_heads));
  out.SetF32(key("attention.layer_norm_rms_epsilon"), c.norm_eps);
  out.SetF32(key("rope.freq_base"), c.rope_theta);
  out.SetU32(key("rope.dimension_count"), U32(c.head_dim));
  if (c.head_dim * c.heads != c.hidden) {
    out.SetU32(key("attention.key_length"), U32(c.head_dim));
    out.SetU32(key("attention.value_length"), U32(c.head_dim));
  }
}

// A token named in tokenizer_config.json: a text, or an object that holds it.
std::string TokenText(const JsonObject& config, const char* key) {
  if (!config.Has(key)) return "";
  return config.At(key).is_object() ? config.Object(key).String("content") : config.String(key);
}

struct Vocabulary {
  std::vector<std::string> tokens, merges;
  std::vector<int32_t> types;

  void Put(int64_t id, const std::string& text, int32_t type) {
    if (static_cast<size_t>(id) >= tokens.size()) Resize(static_cast<size_t>(id) + 1);
    tokens[static_cast<size_t>(id)] = text;
    types[static_cast<size_t>(id)] = type;
  }
  void Resize(size_t size) {
    for (size_t i = tokens.size(); i < size; ++i) tokens.push_back(fmt::format("[PAD{}]", i));
    types.resize(size, kUnused);
  }
};

std::string MergeText(const Json& merge) {
  return merge.is_array() ? merge.at(0).get<std::string>() + " " + merge.at(1).get<std::string>()
                          : merge.get<std::string>();
}

// Only after the tokenizer was read without an error: fields are there and of the right types.
void SetVocabulary(const fs::path& folder, const ModelConfig& config, GgufMetadata& out) {
  const fs::path path = folder / "tokenizer.json";
  const Tokenizer tokenizer = Tokenizer::FromTokenizerJson(path);
  const Json json = ReadJsonFile(path);
  Vocabulary vocabulary;
  for (const auto& [text, id] : json["model"]["vocab"].items()) vocabulary.Put(id.get<int64_t>(), text, kNormal);
  if (json.contains("added_tokens"))
    for (const Json& token : json["added_tokens"])
      vocabulary.Put(token["id"].get<int64_t>(), token["content"].get<std::string>(),
                     token.value("special", false) ? kControl : kUserDefined);
  for (const Json& merge : json["model"]["merges"]) vocabulary.merges.push_back(MergeText(merge));
  if (vocabulary.tokens.size() > config.vocab)
    FailInput("{}: {} tokens, but the configuration's vocab_size is {}", path.string(), vocabulary.tokens.size(),
              config.vocab);
  vocabulary.Resize(config.vocab);
  out.SetString("tokenizer.ggml.model", "gpt2");
  out.SetString("tokenizer.ggml.pre", tokenizer.pre());
  out.SetStrings("tokenizer.ggml.tokens", vocabulary.tokens);
  out.SetI32s("tokenizer.ggml.token_type", vocabulary.types);
  out.SetStrings("tokenizer.ggml.merges", vocabulary.merges);
  if (tokenizer.bos()) out.SetU32("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(*tokenizer.bos()));
  if (tokenizer.eos()) out.SetU32("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(*tokenizer.eos()));
  out.SetBool("tokenizer.ggml.add_bos_token", tokenizer.add_bos());
  if (!tokenizer.chat_template().empty()) out.SetString("tokenizer.chat_template", tokenizer.chat_template());
  if (!fs::exists(folder / "tokenizer_config.json")) return;
  const Json file = ReadJsonFile(folder / "tokenizer_config.json");
  const JsonObject settings(file, (folder / "tokenizer_config.json").string());
  for (const auto& [token, key] : {std::pair("unk_token", "tokenizer.ggml.unknown_token_id"),
                                   std::pair("pad_token", "tokenizer.ggml.padding_token_id")})
    if (const auto found = std::ranges::find(vocabulary.tokens, TokenText(settings, token));
        found != vocabulary.tokens.end())
      out.SetU32(key, U32(static_cast<size_t>(found - vocabulary.tokens.begin())));
}

}  // namespace

GgufMetadata MetadataFor(const ModelFiles& files, const ModelConfig& config) {
  GgufMetadata out;
  if (files.gguf != nullptr) {
    out.Copy(*files.gguf);
    out.Remove("general.alignment");
    // Of another file than the one to be written.
    for (const GgufKey& key : files.gguf->keys())
      if (key.name.starts_with("split.") || key.name.starts_with("quantize.imatrix.")) out.Remove(key.name);
    return out;
  }
  RequireRunnable(config, files.path.string());
  SetArchitecture(config, out);
  out.SetString("general.name", fs::weakly_canonical(files.path).filename().string());
  if (fs::exists(files.path / "tokenizer.json")) SetVocabulary(files.path, config, out);
  return out;
}

}  // namespace qad
