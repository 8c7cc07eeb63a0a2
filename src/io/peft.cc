#include "io/peft.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr const char* kConfigFile = "adapter_config.json";
constexpr const char* kWeightsFile = "adapter_model.safetensors";
constexpr const char* kBaseHash = "base_sha256";  // of __metadata__, which other tools keep and do not read
constexpr std::string_view kPrefix = "base_model.model.";

// The settings that are read here, or that change nothing in a trained adapter's arithmetic.
const std::set<std::string> kHonoured = {"alpha_pattern",
                                         "auto_mapping",
                                         "base_model_name_or_path",
                                         "bias",
                                         "corda_config",
                                         "ensure_weight_tying",
                                         "eva_config",
                                         "exclude_modules",
                                         "fan_in_fan_out",
                                         "inference_mode",
                                         "init_lora_weights",
                                         "layers_pattern",
                                         "layers_to_transform",
                                         "loftq_config",
                                         "lora_alpha",
                                         "lora_dropout",
                                         "lora_ga_config",
                                         "megatron_config",
                                         "megatron_core",
                                         "peft_type",
                                         "peft_version",
                                         "qalora_group_size",
                                         "r",
                                         "rank_pattern",
                                         "revision",
                                         "runtime_config",
                                         "target_modules",
                                         "task_type",
                                         "use_rslora"};

bool IsSet(const Json& value) {
  return !value.is_null() && value != false && !(value.is_structured() && value.empty());
}

// Any other setting that is set (DoRA, patterns of ranks, …, and what later versions of PEFT invent) may change the
// arithmetic. Of the initial values, those named here leave the base's weights alone; PiSSA and its like do not.
void RefuseUnsupported(const JsonObject& config) {
  for (const auto& [key, value] : config.json().items())
    if (!kHonoured.contains(key) && IsSet(value))
      FailInput("{}: \"{}\" is set, which this version does not run", config.where(), key);
  if (config.StringOr("bias", "none") != "none")
    FailInput("{}: \"bias\" is not \"none\", which this version does not run", config.where());
  const Json initial = config.Has("init_lora_weights") ? config.At("init_lora_weights") : Json(true);
  if (!initial.is_boolean() && initial != "gaussian" && initial != "eva" && initial != "orthogonal")
    FailInput(
        "{}: \"init_lora_weights\" is {}: such an adapter belongs to changed base weights; save it with PEFT's "
        "path_initial_model_for_weight_conversion",
        config.where(), initial.dump());
}

// "…q_proj.lora_A.weight" → module and which matrix; false where the name is another's.
bool SplitName(std::string_view name, std::string& module, bool& is_a) {
  if (!name.starts_with(kPrefix)) return false;
  name.remove_prefix(kPrefix.size());
  for (const bool a : {true, false}) {
    const std::string_view suffix = a ? ".lora_A.weight" : ".lora_B.weight";
    if (!name.ends_with(suffix)) continue;
    module = name.substr(0, name.size() - suffix.size());
    is_a = a;
    return true;
  }
  return false;
}

void CheckFinite(const std::vector<float>& values, const std::string& where, const std::string& name) {
  if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); }))
    FailInput("{}: \"{}\" holds NaN or infinity", where, name);
}

}  // namespace

float PeftConfig::Scale(double rank, double alpha) const {
  return static_cast<float>(use_rslora ? alpha / std::sqrt(rank) : alpha / rank);
}

namespace {

// {"q_proj": 16}; null is none.
std::map<std::string, double> ReadPattern(const JsonObject& config, const char* key, double low, double high,
                                          bool whole = false) {
  std::map<std::string, double> pattern;
  if (!config.Has(key) || config.At(key).is_null()) return pattern;
  const JsonObject values = config.Object(key);
  for (const auto& [expression, value] : values.json().items())
    pattern[expression] =
        whole ? static_cast<double>(values.Int(expression, static_cast<int64_t>(low), static_cast<int64_t>(high)))
              : values.Number(expression, low, high);
  return pattern;
}

}  // namespace

PeftConfig ReadPeftConfig(const fs::path& folder) {
  const fs::path path = folder / kConfigFile;
  if (!fs::exists(path)) FailInput("{}: {} is missing; is this a PEFT adapter's folder?", folder.string(), kConfigFile);
  const Json json = ReadJsonFile(path);
  const JsonObject object(json, path.string());
  if (object.StringOr("peft_type", "") != "LORA")
    FailInput("{}: peft_type is \"{}\"; this version runs LORA", path.string(), object.StringOr("peft_type", ""));
  RefuseUnsupported(object);
  PeftConfig config;
  config.base_model = object.StringOr("base_model_name_or_path", "");
  config.r = static_cast<int>(object.Int("r", 1, 1 << 16));
  config.lora_alpha = object.Number("lora_alpha", 0, 1e9);
  config.lora_dropout = object.NumberOr("lora_dropout", 0, 1, 0);
  config.use_rslora = object.BoolOr("use_rslora", false);
  config.fan_in_fan_out = object.BoolOr("fan_in_fan_out", false);
  config.rank_pattern = ReadPattern(object, "rank_pattern", 1, 1 << 16, true);
  config.alpha_pattern = ReadPattern(object, "alpha_pattern", 0, 1e9);
  if (object.Has("target_modules")) {
    const Json& targets = object.At("target_modules");
    if (targets.is_string()) {
      config.target_modules = {targets.get<std::string>()};
    } else {
      if (!targets.is_array()) FailInput("{}: \"target_modules\" must be a list of strings", path.string());
      for (const Json& target : targets) {
        if (!target.is_string()) FailInput("{}: \"target_modules\" must hold strings", path.string());
        config.target_modules.push_back(target.get<std::string>());
      }
    }
  }
  return config;
}

PeftAdapter ReadPeftAdapter(const fs::path& folder) {
  PeftAdapter adapter;
  adapter.config = ReadPeftConfig(folder);
  const SafetensorsFile file(folder / kWeightsFile);
  const std::string where = file.path().string();
  if (const auto base = file.metadata().find(kBaseHash); base != file.metadata().end())
    adapter.config.base_sha256 = base->second;
  std::map<std::string, PeftModule> modules;
  for (const auto& [name, entry] : file.tensors()) {
    std::string module;
    bool is_a = false;
    if (!SplitName(name, module, is_a)) FailInput("{}: tensor \"{}\" is none of a LoRA adapter's", where, name);
    if (entry.shape.size() != 2) FailInput("{}: tensor \"{}\" must have two dimensions", where, name);
    const auto rank = static_cast<size_t>(entry.shape[is_a ? 0 : 1]),
               width = static_cast<size_t>(entry.shape[is_a ? 1 : 0]);
    if (adapter.config.rank_pattern.empty() && rank != static_cast<size_t>(adapter.config.r))
      FailInput("{}: tensor \"{}\" has rank {}, {} says r = {}", where, name, rank, kConfigFile, adapter.config.r);
    PeftModule& target = modules[module];
    if (target.r != 0 && target.r != rank)
      FailInput("{}: lora_A and lora_B of \"{}\" have ranks {} and {}", where, module, is_a ? rank : target.r,
                is_a ? target.r : rank);
    target.module = module;
    target.r = rank;
    (is_a ? target.in : target.out) = width;
    (is_a ? target.a : target.b) = ToFloats(entry);
    CheckFinite(is_a ? target.a : target.b, where, name);
  }
  for (auto& [name, module] : modules) {
    if (module.a.empty() || module.b.empty())
      FailInput("{}: module \"{}\" has only one of lora_A and lora_B", where, name);
    adapter.modules.push_back(std::move(module));
  }
  if (adapter.modules.empty()) FailInput("{}: the adapter is empty", where);
  return adapter;
}

namespace {

Json RanksJson(const std::map<std::string, double>& pattern) {
  Json json = Json::object();
  for (const auto& [module, rank] : pattern) json[module] = static_cast<int64_t>(rank);
  return json;
}

std::string ConfigText(const PeftConfig& config) {
  const Json none = nullptr;
  const Json json = {{"peft_type", "LORA"},
                     {"task_type", "CAUSAL_LM"},
                     {"base_model_name_or_path", config.base_model},
                     {"r", config.r},
                     {"lora_alpha", config.lora_alpha},
                     {"lora_dropout", config.lora_dropout},
                     {"target_modules", config.target_modules},
                     {"fan_in_fan_out", config.fan_in_fan_out},
                     {"bias", "none"},
                     {"use_rslora", config.use_rslora},
                     {"use_dora", false},
                     {"modules_to_save", none},
                     {"rank_pattern", RanksJson(config.rank_pattern)},
                     {"alpha_pattern", config.alpha_pattern},
                     {"layers_to_transform", none},
                     {"layers_pattern", none},
                     {"inference_mode", true},
                     {"init_lora_weights", true},
                     {"revision", none}};
  return DumpJson(json, 2);
}

}  // namespace

void WritePeftAdapter(const fs::path& folder, const PeftAdapter& adapter) {
  FolderSwap swap(folder);
  WriteFileAtomic(swap.path() / kConfigFile, ConfigText(adapter.config));
  std::vector<TensorToWrite> tensors;
  for (const PeftModule& module : adapter.modules) {
    const auto rank = static_cast<int64_t>(module.r);
    const std::string name = std::string(kPrefix) + module.module;
    tensors.push_back({name + ".lora_A.weight",
                       DType::kF32,
                       {rank, static_cast<int64_t>(module.in)},
                       std::as_bytes(std::span(module.a))});
    tensors.push_back({name + ".lora_B.weight",
                       DType::kF32,
                       {static_cast<int64_t>(module.out), rank},
                       std::as_bytes(std::span(module.b))});
  }
  std::map<std::string, std::string> metadata{{"format", "pt"}};
  if (!adapter.config.base_sha256.empty()) metadata[kBaseHash] = adapter.config.base_sha256;
  WriteSafetensors(swap.path() / kWeightsFile, std::move(tensors), metadata);
  swap.Commit();
}

}  // namespace qad
