#include "text/dataset.h"

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/suggest.h"
#include "text/pattern.h"
#include "text/unicode.h"

namespace qad {
namespace {

const std::set<std::string> kFormKeys = {"text",        "prompt", "completion", "messages",
                                         "instruction", "input",  "output",     "system"};
const std::set<std::string> kScoreKeys = {"id",     "slice",   "accept",   "reject",   "answerable", "schema", "fact",
                                          "source", "overlap", "passages", "retrieve", "pattern",    "choices"};

constexpr std::string_view kForms =
    "\"text\", \"prompt\" and \"completion\", \"messages\", or \"instruction\", \"input\" and \"output\"";

std::string UnknownKey(const std::string& key) {
  std::vector<std::string> known(kFormKeys.begin(), kFormKeys.end());
  known.insert(known.end(), kScoreKeys.begin(), kScoreKeys.end());
  static const std::map<std::string, std::string> kMeant = {
      {"answer", "completion"}, {"response", "completion"}, {"question", "prompt"}, {"context", "passages"}};
  if (const auto meant = kMeant.find(key); meant != kMeant.end())
    return fmt::format("unknown key \"{}\"; it is called \"{}\" here", key, meant->second);
  return fmt::format("unknown key \"{}\"{}; an item is {}", key, Suggestion(key, known), kForms);
}

std::vector<std::string> Strings(const JsonObject& json, const std::string& key) {
  if (!json.Has(key)) return {};
  const Json& list = json.At(key);
  if (!list.is_array()) FailInput("{}: \"{}\" must be a list of strings", json.where(), key);
  std::vector<std::string> out;
  for (const Json& text : list) {
    if (!text.is_string() || text.get<std::string>().empty())
      FailInput("{}: \"{}\" must hold strings that are not empty", json.where(), key);
    out.push_back(text.get<std::string>());
  }
  return out;
}

void ReadMessages(const JsonObject& json, Item& item) {
  const Json& list = json.At("messages");
  if (!list.is_array() || list.empty()) FailInput("{}: \"messages\" must be a list that is not empty", json.where());
  for (const Json& entry : list) {
    const JsonObject message(entry, json.where() + ": messages");
    const std::string role = message.String("role");
    if (role != "system" && role != "user" && role != "assistant")
      FailInput("{}: role \"{}\"; expected system, user or assistant", json.where(), role);
    item.messages.push_back({role, message.String("content")});
  }
  if (item.messages.back().role != "assistant")
    FailInput("{}: the last message must be the assistant's: it is the answer", json.where());
  item.completion = item.messages.back().content;
  item.messages.pop_back();
  if (item.messages.empty()) FailInput("{}: \"messages\" has an answer but no question", json.where());
}

// Which of the four forms a line has; reads prompt and completion.
void ReadForm(const JsonObject& json, Item& item) {
  // Stanford's Alpaca carries a rendered "text" beside its fields.
  const bool alpaca = json.Has("instruction");
  if (json.Has("messages") + json.Has("prompt") + alpaca + (json.Has("text") && !alpaca) > 1)
    FailInput("{}: \"text\", \"prompt\", \"messages\" and \"instruction\" exclude each other", json.where());
  item.no_system = json.json().contains("system") && json.json()["system"].is_null();
  const std::string system = json.StringOr("system", "");
  if (!system.empty()) item.messages.push_back({"system", system});
  if (json.Has("messages")) {
    if (!system.empty()) FailInput("{}: \"system\" and \"messages\" exclude each other", json.where());
    ReadMessages(json, item);
  } else if (json.Has("prompt")) {
    item.messages.push_back({"user", json.String("prompt")});
    item.completion = json.String("completion");
  } else if (alpaca) {  // the input follows its instruction
    const std::string input = json.StringOr("input", "");
    item.messages.push_back({"user", json.String("instruction") + (input.empty() ? "" : "\n\n" + input)});
    item.completion = json.String("output");
  } else if (json.Has("text")) {
    item.plain_text = true;
    item.completion = json.String("text");
  } else {
    FailInput(
        "{}: none of the known forms: {{text}}, {{prompt, completion}}, {{messages}}, {{instruction, input, output}}",
        json.where());
  }
  if (item.completion.empty()) FailInput("{}: the answer (completion) is empty", json.where());
}

void ReadScoring(const JsonObject& json, Item& item) {
  item.slice = json.StringOr("slice", "all");
  item.accept = Strings(json, "accept");
  item.reject = Strings(json, "reject");
  item.answerable = json.BoolOr("answerable", true);
  item.retrieve = json.BoolOr("retrieve", true);
  item.fact = json.StringOr("fact", "");
  item.source = json.StringOr("source", "");
  item.overlap = json.StringOr("overlap", "");
  item.pattern = json.StringOr("pattern", "");
  if (!item.pattern.empty()) (void)Pattern(item.pattern, json.where() + ": pattern");
  item.choices = Strings(json, "choices");
  if (!item.choices.empty()) {
    if (item.plain_text) FailInput("{}: \"choices\" belong to a question, and a {{text}} asks none", json.where());
    if (std::set<std::string>(item.choices.begin(), item.choices.end()).size() <
        std::max<size_t>(item.choices.size(), 2))
      FailInput("{}: \"choices\" must be two different ones at least", json.where());
    if (std::ranges::find(item.choices, item.completion) == item.choices.end())
      FailInput("{}: the answer \"{}\" is none of its \"choices\"", json.where(), item.completion);
  }
  if (json.Has("schema")) {
    const JsonObject schema = json.Object("schema");
    for (const auto& [field, values] : schema.json().items()) item.schema[field] = Strings(schema, field);
    if (item.schema.empty()) FailInput("{}: \"schema\" has no fields", json.where());
  }
  if (json.Has("passages")) {
    const Json& list = json.At("passages");
    if (!list.is_array()) FailInput("{}: \"passages\" must be a list of {{id, text}}", json.where());
    for (const Json& entry : list) {
      const JsonObject passage(entry, json.where() + ": passages");
      item.passages.push_back({passage.String("id"), passage.String("text")});
    }
  }
}

Item ReadItem(std::string_view line, const std::string& where, int number) {
  if (line.find('\0') != std::string_view::npos) FailInput("{}: a NUL byte; is this a text file?", where);
  if (!IsValidUtf8(line)) FailInput("{}: not valid UTF-8", where);
  const Json root = ParseJson(line, where);
  const JsonObject json(root, where);
  for (const auto& [key, value] : root.items())
    if (!kFormKeys.contains(key) && !kScoreKeys.contains(key)) FailInput("{}: {}", where, UnknownKey(key));
  Item item;
  item.line = number;
  item.id = json.StringOr("id", fmt::format("line-{}", number));
  ReadForm(json, item);
  ReadScoring(json, item);
  return item;
}

}  // namespace

std::vector<Item> LoadDataset(const std::filesystem::path& path) {
  const std::string text = ReadTextFile(path);
  std::vector<Item> items;
  std::set<std::string> ids;
  int number = 0;
  for (std::string_view line : SplitLines(text)) {
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (number == 1 && line.starts_with("\xEF\xBB\xBF")) line.remove_prefix(3);
    if (line.find_first_not_of(" \t") == std::string_view::npos) continue;
    const std::string where = fmt::format("{}:{}", path.string(), number);
    items.push_back(ReadItem(line, where, number));
    if (!ids.insert(items.back().id).second) FailInput("{}: id \"{}\" was used before", where, items.back().id);
  }
  if (items.empty()) FailInput("{}: holds no items", path.string());
  return items;
}

bool IsDataset(const std::filesystem::path& path) {
  const std::string extension = LowerCase(path.extension().string());
  if (extension == ".json")
    FailInput("{}: is JSON; a dataset has one object a line and is called .jsonl", path.string());
  return extension == ".jsonl";
}

}  // namespace qad
