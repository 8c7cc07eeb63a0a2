// qad inspect PATH: what is in a GGUF, a safetensors file, a model's folder or a PEFT adapter.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "base/error.h"
#include "base/progress.h"
#include "commands/command.h"
#include "io/model_files.h"
#include "io/peft.h"
#include "model/config.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

constexpr size_t kShown = 4;        // values of a long array
constexpr size_t kShownText = 160;  // bytes of a long text

struct TensorRow {
  std::string name, type;
  std::vector<int64_t> shape;
  uint64_t bytes = 0;
  std::string file;  // of several
};

// What was found, whatever it was found in.
struct Contents {
  std::string kind;  // "gguf", "safetensors", "model folder", "PEFT adapter"
  OrderedJson facts = OrderedJson::object();
  OrderedJson metadata = OrderedJson::object();
  std::vector<TensorRow> tensors;
  uint64_t file_bytes = 0;
};

// Not in the middle of a UTF-8 sequence.
std::string Shortened(const std::string& text) {
  if (text.size() <= kShownText) return text;
  size_t end = kShownText;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0u) == 0x80u) --end;
  return fmt::format("{}… ({} bytes)", text.substr(0, end), text.size());
}

template <typename T>
OrderedJson ShortenedArray(const std::vector<T>& values) {
  OrderedJson shown = OrderedJson::array();
  for (size_t i = 0; i < std::min(kShown, values.size()); ++i) shown.push_back(values[i]);
  if (values.size() <= kShown) return shown;
  return {{"length", values.size()}, {"first", shown}};
}

OrderedJson ToJson(const GgufValue& value) {
  return std::visit(
      [](const auto& v) -> OrderedJson {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, std::string>)
          return Shortened(v);
        else if constexpr (std::is_arithmetic_v<T>)
          return v;
        else
          return ShortenedArray(v);
      },
      value);
}

void AddConfig(Contents& contents, const ModelConfig& c) {
  contents.facts.update({{"family", c.family->name},
                         {"vocabulary", c.vocab},
                         {"hidden", c.hidden},
                         {"layers", c.layers},
                         {"heads", c.heads},
                         {"kv_heads", c.kv_heads},
                         {"head_dim", c.head_dim},
                         {"intermediate", c.intermediate},
                         {"positions", c.max_positions},
                         {"tied_head", c.tied_head}});
  if (c.sliding_window > 0) contents.facts["sliding_window"] = c.sliding_window;
  if (!c.rope_scaling.empty()) contents.facts["rope_scaling"] = c.rope_scaling;
}

Contents InspectGguf(const fs::path& path) {
  const GgufFile file(path);
  Contents contents{.kind = "gguf",
                    .facts = {{"version", file.version()}},
                    .metadata = OrderedJson::object(),
                    .tensors = {},
                    .file_bytes = file.file().bytes().size()};
  const std::string architecture = file.StringOr("general.architecture", "");
  const bool is_adapter = file.StringOr("general.type", "model") == "adapter";
  if (is_adapter) contents.kind = "GGUF adapter";
  if (!is_adapter && FindFamilyByGguf(architecture) != nullptr && !file.tensors().empty())
    AddConfig(contents, ParseModelConfig(file));
  else
    contents.facts["architecture"] = architecture.empty() ? "(none)" : architecture;
  for (const auto& [key, value] : file.metadata()) contents.metadata[key] = ToJson(value);
  for (const GgufTensor& tensor : file.tensors())
    contents.tensors.push_back({tensor.name, GgufTypeName(tensor.type), tensor.shape, tensor.bytes.size(), ""});
  return contents;
}

void AddTensors(Contents& contents, const SafetensorsFile& file, const std::string& name) {
  contents.file_bytes += file.file().bytes().size();
  for (const auto& [tensor, entry] : file.tensors())
    contents.tensors.push_back({tensor, std::string(DTypeName(entry.dtype)), entry.shape, entry.bytes.size(), name});
  for (const auto& [key, value] : file.metadata()) contents.metadata[key] = Shortened(value);
}

Contents InspectSafetensors(const fs::path& path) {
  Contents contents{.kind = "safetensors",
                    .facts = OrderedJson::object(),
                    .metadata = OrderedJson::object(),
                    .tensors = {},
                    .file_bytes = 0};
  AddTensors(contents, SafetensorsFile(path), "");
  return contents;
}

Contents InspectAdapter(const fs::path& folder) {
  const PeftAdapter adapter = ReadPeftAdapter(folder);
  const PeftConfig& config = adapter.config;
  size_t parameters = 0;
  for (const PeftModule& module : adapter.modules) parameters += module.a.size() + module.b.size();
  Contents contents = InspectSafetensors(folder / "adapter_model.safetensors");
  contents.kind = "PEFT adapter";
  contents.facts = {{"base", config.base_model},         {"r", config.r},
                    {"alpha", config.lora_alpha},        {"scale", config.Scale()},
                    {"rslora", config.use_rslora},       {"target_modules", config.target_modules},
                    {"modules", adapter.modules.size()}, {"parameters", parameters}};
  return contents;
}

Contents InspectFolder(const fs::path& folder) {
  if (fs::exists(folder / "adapter_config.json")) return InspectAdapter(folder);
  const ModelFiles files = OpenModel(folder);
  Contents contents{.kind = "model folder",
                    .facts = OrderedJson::object(),
                    .metadata = OrderedJson::object(),
                    .tensors = {},
                    .file_bytes = 0};
  const Json config = ReadJsonFile(folder / "config.json");
  const std::string where = (folder / "config.json").string();
  try {
    AddConfig(contents, ParseModelConfig(config, where));
  } catch (const Error& error) {  // the tensors are of interest all the same
    contents.facts["configuration"] = error.what();
  }
  if (config.contains("quantization_config"))
    contents.facts["quantization_config"] = OrderedJson::parse(config["quantization_config"].dump());
  for (const auto& shard : files.shards)
    AddTensors(contents, *shard, files.shards.size() > 1 ? shard->path().filename().string() : "");
  return contents;
}

Contents Inspect(const std::string& name) {
  const fs::path path = name;
  if (path.extension() == ".safetensors") return InspectSafetensors(path);
  if (fs::is_directory(path)) return InspectFolder(path);
  const fs::path resolved = ResolveModel(name);
  return fs::is_directory(resolved) ? InspectFolder(resolved) : InspectGguf(resolved);
}

struct Totals {
  uint64_t values = 0, bytes = 0;
  std::map<std::string, std::pair<uint64_t, uint64_t>> by_type;  // tensors, bytes
};

Totals Total(const Contents& contents) {
  Totals totals;
  for (const TensorRow& tensor : contents.tensors) {
    uint64_t values = 1;
    for (const int64_t n : tensor.shape) values *= static_cast<uint64_t>(n);
    totals.values += values;
    totals.bytes += tensor.bytes;
    auto& [count, bytes] = totals.by_type[tensor.type];
    ++count;
    bytes += tensor.bytes;
  }
  return totals;
}

OrderedJson ToJson(const std::string& path, const Contents& contents) {
  const Totals totals = Total(contents);
  OrderedJson json{{"path", path},
                   {"kind", contents.kind},
                   {"config", contents.facts},
                   {"metadata", contents.metadata},
                   {"tensors", OrderedJson::array()}};
  for (const TensorRow& tensor : contents.tensors) {
    OrderedJson row{{"name", tensor.name}, {"type", tensor.type}, {"shape", tensor.shape}, {"bytes", tensor.bytes}};
    if (!tensor.file.empty()) row["file"] = tensor.file;
    json["tensors"].push_back(std::move(row));
  }
  json["types"] = OrderedJson::object();
  for (const auto& [type, sums] : totals.by_type)
    json["types"][type] = {{"tensors", sums.first}, {"bytes", sums.second}};
  json["total"] = {{"tensors", contents.tensors.size()},
                   {"values", totals.values},
                   {"bytes", totals.bytes},
                   {"file_bytes", contents.file_bytes}};
  return json;
}

// One line; a string without its quotes where nothing in it needs them.
std::string Text(const OrderedJson& value) {
  const std::string json = value.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
  return value.is_string() && json.find('\\') == std::string::npos ? value.get<std::string>() : json;
}

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t n : shape) text += fmt::format("{}{}", text.empty() ? "" : " × ", n);
  return text.empty() ? "scalar" : text;
}

void Print(const std::string& path, const Contents& contents) {
  fmt::print("{}: {}, {}\n", path, contents.kind, FormatBytes(static_cast<double>(contents.file_bytes)));
  for (const auto& [key, value] : contents.facts.items()) fmt::print("  {:<20} {}\n", key, Text(value));
  if (!contents.metadata.empty()) fmt::print("\nmetadata\n");
  for (const auto& [key, value] : contents.metadata.items()) fmt::print("  {:<44} {}\n", key, Text(value));
  fmt::print("\ntensors\n");
  for (const TensorRow& tensor : contents.tensors)
    fmt::print("  {:<52} {:<6} {:>18} {:>12} B{}{}\n", tensor.name, tensor.type, ShapeText(tensor.shape), tensor.bytes,
               tensor.file.empty() ? "" : "  ", tensor.file);
  const Totals totals = Total(contents);
  fmt::print("\n{} tensors, {} values, {} bytes\n", contents.tensors.size(), totals.values, totals.bytes);
  for (const auto& [type, sums] : totals.by_type)
    fmt::print("  {:<6} {:>6} tensors {:>14} B\n", type, sums.first, sums.second);
}

}  // namespace

std::function<void()> AddInspectCommand(CLI::App& app, const GlobalFlags& flags) {
  auto path = std::make_shared<std::string>();
  app.add_option("path", *path, ".gguf or .safetensors file, model folder, PEFT adapter, or a model's name")
      ->required();
  return [path, &flags] {
    const Contents contents = Inspect(*path);
    if (flags.json)
      PrintJson(ToJson(*path, contents));
    else
      Print(*path, contents);
  };
}

}  // namespace qad
