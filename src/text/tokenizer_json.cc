// Tokenizers from tokenizer.json and the tokenizer_config.json beside it. What would change ids in a way this version
// does not follow is an error, never passed over.
#include <algorithm>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "text/tokenizer_impl.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr int64_t kMaxTokens = 1 << 24;
constexpr int64_t kMaxGap = 65536;  // ids far beyond the number of tokens would only make us allocate

std::vector<JsonObject> Objects(const JsonObject& json, const std::string& key) {
  const Json& list = json.At(key);
  if (!list.is_array()) FailInput("{}: \"{}\" must be a list", json.where(), key);
  std::vector<JsonObject> objects;
  for (const Json& entry : list)
    objects.emplace_back(entry, fmt::format("{}: {}[{}]", json.where(), key, objects.size()));
  return objects;
}

SplitRule ReadSplitRule(const JsonObject& tokenizer) {
  std::vector<JsonObject> parts;
  if (tokenizer.Has("pre_tokenizer")) parts.push_back(tokenizer.Object("pre_tokenizer"));
  if (!parts.empty() && parts[0].String("type") == "Sequence") parts = Objects(parts[0], "pretokenizers");
  std::string names;
  for (const JsonObject& part : parts) names += (names.empty() ? "" : ", ") + part.String("type");
  for (const JsonObject& part : parts) {
    if (part.String("type") != "ByteLevel") continue;
    if (part.BoolOr("add_prefix_space", true)) names += " with add_prefix_space";
    if (!part.BoolOr("use_regex", true)) names += " without its pattern";
  }
  if (names == "ByteLevel") return SplitRule::kGpt2;
  if (names == "Digits, ByteLevel" && parts[0].BoolOr("individual_digits", false)) return SplitRule::kSmolLm;
  FailInput(
      "{}: pre_tokenizer ({}) is not supported by this version, which knows GPT-2's ByteLevel and SmolLM's Digits "
      "(individual), ByteLevel",
      tokenizer.where(), names.empty() ? "none" : names);
}

// Settings of the model that would make other merges than plain byte-level BPE does.
void CheckModel(const JsonObject& model) {
  if (const std::string type = model.StringOr("type", "BPE"); type != "BPE")
    FailInput("{}: type \"{}\" is not supported by this version, which knows byte-level BPE", model.where(), type);
  const bool plain = model.NumberOr("dropout", 0, 1, 0) == 0 &&
                     model.StringOr("continuing_subword_prefix", "").empty() &&
                     model.StringOr("end_of_word_suffix", "").empty() && !model.BoolOr("byte_fallback", false) &&
                     !model.BoolOr("ignore_merges", false);
  if (!plain)
    FailInput(
        "{}: one of dropout, continuing_subword_prefix, end_of_word_suffix, byte_fallback, ignore_merges is set; this "
        "version runs plain byte-level BPE",
        model.where());
}

void ReadVocabulary(Tokenizer::Impl& impl, const JsonObject& model) {
  const JsonObject vocabulary = model.Object("vocab");
  const auto count = static_cast<int64_t>(vocabulary.json().size());
  int64_t largest = -1;
  for (const auto& [text, id] : vocabulary.json().items())
    largest = std::max(largest, vocabulary.Int(text, 0, std::min(kMaxTokens, 2 * count + kMaxGap)));
  impl.Resize(static_cast<size_t>(largest + 1));
  for (const auto& [text, json] : vocabulary.json().items()) {
    const auto id = json.get<TokenId>();
    if (impl.present[static_cast<size_t>(id)]) FailInput("{}: id {} is given twice", vocabulary.where(), id);
    impl.AddOrdinary(id, FromByteAlphabet(text).value_or(text));
  }
}

void ReadMerges(Tokenizer::Impl& impl, const JsonObject& model) {
  const Json& merges = model.At("merges");
  if (!merges.is_array()) FailInput("{}: \"merges\" must be a list", model.where());
  for (size_t i = 0; i < merges.size(); ++i) {
    const Json& merge = merges[i];
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      impl.AddMerge(merge[0].get<std::string>(), merge[1].get<std::string>(), i);
      continue;
    }
    const std::string text = merge.is_string() ? merge.get<std::string>() : "";
    const size_t space = text.find(' ');
    if (space == std::string::npos || space == 0 || space + 1 == text.size())
      FailInput("{}: merges[{}] is not a pair of tokens", model.where(), i);
    impl.AddMerge(text.substr(0, space), text.substr(space + 1), i);
  }
}

void ReadAddedTokens(Tokenizer::Impl& impl, const JsonObject& tokenizer) {
  if (!tokenizer.Has("added_tokens")) return;
  const int64_t last = static_cast<int64_t>(impl.bytes.size()) + kMaxGap;
  for (const JsonObject& token : Objects(tokenizer, "added_tokens")) {
    for (const char* flag : {"single_word", "lstrip", "rstrip"})
      if (token.BoolOr(flag, false)) FailInput("{}: sets {}, which this version does not do", token.where(), flag);
    const auto id = static_cast<TokenId>(token.Int("id", 0, last));
    if (static_cast<size_t>(id) >= impl.bytes.size()) impl.Resize(static_cast<size_t>(id) + 1);
    impl.AddAdded(id, token.String("content"), token.BoolOr("special", false));
  }
}

std::optional<TokenId> FindAdded(const Tokenizer::Impl& impl, const std::string& text) {
  const auto found = std::ranges::find(impl.added, text, &Tokenizer::Impl::Added::text);
  return found == impl.added.end() ? std::nullopt : std::optional(found->id);
}

// What the post-processor puts around a text: nothing, or BOS before it. Returns whether it had a say.
bool ReadPostProcessor(Tokenizer::Impl& impl, const JsonObject& post) {
  const std::string type = post.String("type");
  if (type == "ByteLevel") return false;  // moves offsets, not ids
  if (type == "Sequence") {
    bool any = false;
    for (const JsonObject& part : Objects(post, "processors")) any = ReadPostProcessor(impl, part) || any;
    return any;
  }
  if (type != "TemplateProcessing") FailInput("{}: type \"{}\" is not supported by this version", post.where(), type);
  const std::vector<JsonObject> pieces = Objects(post, "single");
  if (pieces.empty() || pieces.size() > 2 || !pieces.back().Has("Sequence") ||
      (pieces.size() == 2 && !pieces[0].Has("SpecialToken")))
    FailInput("{}: adds tokens in a way that this version does not; it knows one special token before the text",
              post.where());
  if (pieces.size() == 2) {
    const std::string text = pieces[0].Object("SpecialToken").String("id");
    impl.bos = FindAdded(impl, text);
    if (!impl.bos) FailInput("{}: \"{}\" is none of the added tokens", post.where(), text);
    impl.add_bos = true;
  }
  return true;
}

// "bos_token": a text, or an object that holds it.
std::string TokenText(const JsonObject& config, const std::string& key) {
  if (!config.Has(key)) return "";
  return config.At(key).is_object() ? config.Object(key).String("content") : config.String(key);
}

std::string ReadChatTemplate(const fs::path& folder, const JsonObject& config) {
  if (fs::exists(folder / "chat_template.jinja")) return ReadTextFile(folder / "chat_template.jinja", 1 << 20);
  if (!config.Has("chat_template")) return "";
  if (!config.At("chat_template").is_array()) return config.String("chat_template");
  for (const JsonObject& named : Objects(config, "chat_template"))
    if (named.String("name") == "default") return named.String("template");
  return "";
}

}  // namespace

Tokenizer Tokenizer::FromTokenizerJson(const fs::path& path) {
  auto impl = std::make_shared<Impl>();
  impl->where = path.string();
  const Json root = ReadJsonFile(path);
  const JsonObject json(root, impl->where);
  const JsonObject model = json.Object("model");
  CheckModel(model);
  if (json.Has("normalizer"))
    FailInput("{}: a normalizer ({}) is not supported by this version", impl->where,
              json.Object("normalizer").String("type"));
  ReadVocabulary(*impl, model);
  ReadMerges(*impl, model);
  ReadAddedTokens(*impl, json);
  const fs::path folder = path.parent_path(), beside = folder / "tokenizer_config.json";
  const Json settings = fs::exists(beside) ? ReadJsonFile(beside) : Json::object();
  const JsonObject config(settings, beside.string());
  impl->chat_template = ReadChatTemplate(folder, config);
  impl->bos = FindAdded(*impl, TokenText(config, "bos_token"));
  impl->eos = FindAdded(*impl, TokenText(config, "eos_token"));
  if (!json.Has("post_processor") || !ReadPostProcessor(*impl, json.Object("post_processor")))
    impl->add_bos = config.BoolOr("add_bos_token", false);
  impl->Finish(ReadSplitRule(json));
  if (!model.StringOr("unk_token", "").empty() && std::ranges::count(impl->of_byte, -1) > 0)
    FailInput("{}: unk_token is set and some bytes have no token, which this version does not do", model.where());
  return Tokenizer(impl);
}

}  // namespace qad
