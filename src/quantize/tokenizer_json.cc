#include "quantize/tokenizer_json.h"

#include <set>

#include "base/error.h"

namespace qad {
namespace {

constexpr int64_t kControl = 3, kUserDefined = 4;  // tokenizer.ggml.token_type

Json ByteLevel() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", true}};
}

Json PreTokenizer(const GgufFile& file) {
  const std::string model = file.String("tokenizer.ggml.model"), pre = file.StringOr("tokenizer.ggml.pre", "");
  if (model == "gpt2" && pre == "gpt-2") return ByteLevel();
  if (model == "gpt2" && pre == "smollm")
    return {{"type", "Sequence"}, {"pretokenizers", {{{"type", "Digits"}, {"individual_digits", true}}, ByteLevel()}}};
  FailInput(
      "{}: a vocabulary of model \"{}\" with pre-tokenizer \"{}\" cannot be written as tokenizer.json by this version",
      file.path().string(), model, pre);
}

// Ids that are recognised as a whole: control tokens, and the beginning and the end of a text.
std::set<int64_t> SpecialIds(const GgufFile& file, size_t tokens) {
  std::set<int64_t> ids;
  if (file.Has("tokenizer.ggml.token_type")) {
    const std::vector<int64_t> types = file.Ints("tokenizer.ggml.token_type");
    if (types.size() != tokens)
      FailInput("{}: {} tokens but {} token types", file.path().string(), tokens, types.size());
    for (size_t i = 0; i < types.size(); ++i)
      if (types[i] == kControl || types[i] == kUserDefined) ids.insert(static_cast<int64_t>(i));
  }
  for (const char* key : {"tokenizer.ggml.bos_token_id", "tokenizer.ggml.eos_token_id"})
    if (file.Has(key)) ids.insert(file.Int(key, 0, static_cast<int64_t>(tokens) - 1));
  return ids;
}

}  // namespace

Json TokenizerJson(const GgufFile& file) {
  const std::vector<std::string>& tokens = file.Strings("tokenizer.ggml.tokens");
  Json vocabulary = Json::object(), added = Json::array();
  for (size_t i = 0; i < tokens.size(); ++i) vocabulary[tokens[i]] = i;
  if (vocabulary.size() != tokens.size()) FailInput("{}: two tokens have the same text", file.path().string());
  for (const int64_t id : SpecialIds(file, tokens.size()))
    added.push_back({{"id", id},
                     {"content", tokens[static_cast<size_t>(id)]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  const Json none = nullptr;
  Json merges = Json::array();
  if (file.Has("tokenizer.ggml.merges")) merges = file.Strings("tokenizer.ggml.merges");
  return {{"version", "1.0"},
          {"truncation", none},
          {"padding", none},
          {"added_tokens", std::move(added)},
          {"normalizer", none},
          {"pre_tokenizer", PreTokenizer(file)},
          {"post_processor", none},
          {"decoder", ByteLevel()},
          {"model",
           {{"type", "BPE"},
            {"dropout", none},
            {"unk_token", none},
            {"continuing_subword_prefix", none},
            {"end_of_word_suffix", none},
            {"fuse_unk", false},
            {"byte_fallback", false},
            {"vocab", std::move(vocabulary)},
            {"merges", std::move(merges)}}}};
}

Json TokenizerConfigJson(const GgufFile& file) {
  const std::vector<std::string>& tokens = file.Strings("tokenizer.ggml.tokens");
  Json json{{"tokenizer_class", "PreTrainedTokenizerFast"},
            {"add_bos_token", file.BoolOr("tokenizer.ggml.add_bos_token", false)}};
  for (const char* name : {"bos", "eos"})
    if (const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name); file.Has(key))
      json[fmt::format("{}_token", name)] =
          tokens[static_cast<size_t>(file.Int(key, 0, static_cast<int64_t>(tokens.size()) - 1))];
  if (file.Has("tokenizer.chat_template")) json["chat_template"] = file.String("tokenizer.chat_template");
  return json;
}

}  // namespace qad
