#include "experiment/config.h"

#include <algorithm>
#include <array>
#include <set>

#include "base/error.h"
#include "base/yaml.h"
#include "evaluate/baselines.h"
#include "experiment/arms.h"
#include "experiment/weights.h"
#include "memory/machines.h"
#include "results/results.h"
#include "text/dataset.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr int kMany = 1 << 30;

// "auto" leaves the default.
bool IsAuto(YamlMap& map, const std::string& key) {
  const YAML::Node node = map.Node(key);
  return node.IsDefined() && node.IsScalar() && node.Scalar() == "auto";
}

void IntOrAuto(YamlMap& map, const std::string& key, int low, int high, int& value) {
  if (!IsAuto(map, key)) map.Int(key, low, high, value);
}

void NumberOrAuto(YamlMap& map, const std::string& key, double low, double high, double& value) {
  if (!IsAuto(map, key)) map.Number(key, low, high, value);
}

void Paths(YamlMap& map, const std::string& key, const fs::path& base, std::vector<fs::path>& paths) {
  std::vector<std::string> names;
  map.Strings(key, names);
  for (const std::string& name : names) paths.push_back(fs::path(name).is_absolute() ? fs::path(name) : base / name);
}

void ReadData(YamlMap map, const fs::path& base, DataConfig& data) {
  for (const char* key : {"train", "eval"})
    if (!map.Has(key))
      map.errors().Add(map.mark(), fmt::format("data.{}: is missing; a file of one JSON object a line", key));
  map.Path("train", base, data.train);
  map.Path("dev", base, data.dev);
  map.Path("zero_shot", base, data.zero_shot);
  map.Path("eval", base, data.eval);
  Paths(map, "documents", base, data.documents);
  Paths(map, "documents_update", base, data.documents_update);
  map.String("system_prompt", data.system_prompt);
  map.Int("max_length", 8, kMany, data.max_length);
}

void ReadHardware(YamlMap map, HardwareConfig& hardware) {
  map.Bytes("memory", hardware.memory);
  IntOrAuto(map, "threads", 1, 1024, hardware.threads);
  map.Number("price_per_hour", 0, 1e6, hardware.price_per_hour);
  map.String("name", hardware.name);
  NumberOrAuto(map, "gigabytes_per_second", 1e-3, 1e6, hardware.gigabytes_per_second);
  NumberOrAuto(map, "teraflops", 1e-6, 1e6, hardware.teraflops);
  YamlMap prices(map.Node("machine_prices"), map.path() + ".machine_prices", map.errors());
  for (const Machine& machine : AllMachines())
    if (prices.Has(machine.name)) prices.Number(machine.name, 0, 1e6, hardware.machine_prices[machine.name]);
}

// Regular expressions over module names, each with a number.
void ReadPatterns(YamlMap& map, LoraOptions& lora) {
  if (map.Has("rank_pattern")) lora.rank_pattern.clear();
  YamlMap ranks(map.Node("rank_pattern"), map.path() + ".rank_pattern", map.errors());
  for (const std::string& expression : ranks.Keys()) {
    int rank = lora.r;
    ranks.Int(expression, 1, 1024, rank);
    lora.rank_pattern[expression] = rank;
  }
  if (map.Has("alpha_pattern")) lora.alpha_pattern.clear();
  YamlMap alphas(map.Node("alpha_pattern"), map.path() + ".alpha_pattern", map.errors());
  for (const std::string& expression : alphas.Keys())
    alphas.Number(expression, 1e-6, 1e6, lora.alpha_pattern[expression]);
}

void ReadLora(YamlMap& map, LoraOptions& lora) {
  map.Int("r", 1, 1024, lora.r);
  map.Number("alpha", 1e-6, 1e6, lora.alpha);
  map.Number("dropout", 0, 0.99, lora.dropout);
  map.Strings("target_modules", lora.target_modules);
  map.Bool("rslora", lora.rslora);
  map.Ints("layers_to_transform", 0, kMany, lora.layers_to_transform);
  ReadPatterns(map, lora);
}

void ReadTrain(YamlMap& map, TrainOptions& train) {
  map.Number("epochs", 1e-3, 1e4, train.epochs);
  map.Int("batch_size", 1, 1 << 16, train.batch_size);
  IntOrAuto(map, "micro_batch_tokens", 16, 1 << 20, train.micro_batch_tokens);
  map.Number("learning_rate", 0, 10, train.learning_rate);
  std::string schedule = "cosine", loss_on = train.completion_only ? "completion" : "all",
              numerics = !train.exact  ? "fast"
                         : train.split ? "split"
                                       : "exact";
  const bool has_schedule = map.Has("schedule");
  map.Choice("schedule", {"constant", "linear", "cosine"}, schedule);
  if (has_schedule)
    train.schedule = schedule == "constant" ? Schedule::kConstant
                     : schedule == "linear" ? Schedule::kLinear
                                            : Schedule::kCosine;
  map.Number("warmup_ratio", 0, 1, train.warmup_ratio);
  map.Number("weight_decay", 0, 10, train.weight_decay);
  map.Number("max_grad_norm", 0, 1e9, train.max_grad_norm);
  map.Choice("loss_on", {"completion", "all"}, loss_on);
  train.completion_only = loss_on == "completion";
  map.Number("dev_fraction", 0, 0.9, train.dev_fraction);
  std::string keep = train.keep_best ? "best" : "last";
  map.Choice("keep", {"best", "last"}, keep);
  train.keep_best = keep == "best";
  map.Int("save_every", 1, kMany, train.save_every);
  map.Int("keep_checkpoints", 1, kMany, train.keep_checkpoints);
  IntOrAuto(map, "validate_every", 1, kMany, train.validate_every);
  map.Int("patience", 0, kMany, train.patience);
  map.Bool("recompute", train.recompute);
  map.Choice("numerics", {"fast", "exact", "split"}, numerics);
  train.exact = numerics != "fast";
  train.split = numerics == "split";
}

const std::map<std::string, std::string> kLoraHints = {
    {"rank", "r"}, {"lora_alpha", "alpha"}, {"lora_dropout", "dropout"}, {"use_rslora", "rslora"}};
const std::map<std::string, std::string> kTrainHints = {{"lr", "learning_rate"},
                                                        {"num_train_epochs", "epochs"},
                                                        {"gradient_clipping", "max_grad_norm"},
                                                        {"lr_scheduler_type", "schedule"}};

// Each adapter starts from the shared `lora` and `train` sections; its own keys override them.
void ReadAdapters(YamlMap map, const Config& config, const LoraOptions& lora, const TrainOptions& train,
                  std::vector<AdapterConfig>& adapters) {
  for (const std::string& name : map.Keys()) {
    AdapterConfig adapter{.name = name, .data = config.data.train, .lora = lora, .train = train};
    std::map<std::string, std::string> hints = kLoraHints;
    hints.insert(kTrainHints.begin(), kTrainHints.end());
    YamlMap own(map.Node(name), map.Name(name), map.errors(), hints);
    if (ParseArm(name, {}).error.empty() || name == "rag" || name == "few-shot")
      map.Wrong(name, "another name: this word means weights or a way of prompting");
    if (name.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789-_") != std::string::npos)
      map.Wrong(name, "a name of lower-case letters, digits, - and _: it becomes part of a folder's name");
    own.Path("data", config.file.parent_path(), adapter.data);
    own.Bool("after_update", adapter.after_update);
    std::string base = "base";
    own.String("base", base);
    if (const ParsedWeights parsed = ParseWeights(base);
        !parsed.known || parsed.recipe.floor || !parsed.recipe.merged.empty())
      own.Wrong("base", "weights to train on: base, gguf, nf4, int8, gptq-4, awq-4, gguf:Q4_K_M …");
    else if (!parsed.error.empty())
      own.Wrong("base", parsed.error);
    else
      adapter.base = parsed.recipe.weights;
    ReadLora(own, adapter.lora);
    ReadTrain(own, adapter.train);
    adapters.push_back(std::move(adapter));
  }
  if (adapters.empty()) adapters.push_back({.name = "lora", .data = config.data.train, .lora = lora, .train = train});
}

// {name, endpoint, model, prompting, key_variable, timeout, price_per_million_tokens: {prompt, output}}.
ArmConfig ReadEndpoint(const YAML::Node& node, YamlErrors& errors) {
  ArmConfig arm{.name = "", .weights = "", .adapter = "", .prompting = Prompting::kZeroShot, .endpoint = EndpointArm()};
  EndpointOptions& options = arm.endpoint->options;
  YamlMap map(node, "arms", errors, {{"url", "endpoint"}, {"api_key", "key_variable"}});
  map.String("name", arm.name);
  map.String("endpoint", options.url);
  map.String("model", options.model);
  if (arm.name.empty()) errors.Add(node.Mark(), "arms: an endpoint needs a 'name'");
  if (!IsPlainAddress(options.url))
    map.Wrong("endpoint", "an address such as http://127.0.0.1:8080/v1, without user, password, query or fragment");
  if (options.model.empty()) errors.Add(node.Mark(), "arms: an endpoint needs a 'model'");
  std::string prompting = "zero-shot";
  map.Choice("prompting", {"zero-shot", "few-shot", "rag"}, prompting);
  if (prompting != "zero-shot") arm.prompting = prompting == "rag" ? Prompting::kRag : Prompting::kFewShot;
  map.String("key_variable", options.key_variable);
  map.Seconds("timeout", options.timeout);
  if (!(options.timeout > 0)) map.Wrong("timeout", "a time above zero");
  if (map.Has("price_per_million_tokens")) {
    YamlMap prices(map.Node("price_per_million_tokens"), "arms.price_per_million_tokens", errors);
    double prompt = 0, output = 0;
    prices.Number("prompt", 0, 1e6, prompt);
    prices.Number("output", 0, 1e6, output);
    for (const char* key : {"prompt", "output"})
      if (!prices.Has(key)) map.Wrong("price_per_million_tokens", fmt::format("a price of {} tokens, too", key));
    arm.endpoint->prompt_price = prompt;
    arm.endpoint->output_price = output;
  }
  return arm;
}

void ReadArms(YamlMap& root, Config& config) {
  const YAML::Node list = root.Node("arms");
  std::vector<std::string> forms;
  if (!list.IsDefined() || list.IsNull()) {
    for (const char* form : {"base", "int8"}) config.arms.push_back(ParseArm(form, config.adapters).arm);
    config.arms.push_back(ParseArm(config.adapters.front().name, config.adapters).arm);
    return;
  }
  if (!list.IsSequence() || list.size() == 0) return root.Wrong("arms", "a list of arms, e.g. [base, int8, lora]");
  std::set<std::string> files;
  for (const std::string_view baseline : kBaselineArms) files.insert(SamplesFileName(baseline));
  for (const YAML::Node& node : list) {
    if (!node.IsScalar() && !node.IsMap()) {
      root.errors().Add(node.Mark(),
                        "arms: a short form such as 'base + few-shot' expected, or {name, endpoint, model}");
      continue;
    }
    const ParsedArm parsed =
        node.IsMap() ? ParsedArm{ReadEndpoint(node, root.errors()), ""} : ParseArm(node.Scalar(), config.adapters);
    const bool needs_documents = parsed.arm.prompting == Prompting::kRag && config.data.documents.empty();
    if (!parsed.error.empty())
      root.errors().Add(node.Mark(), "arms: " + parsed.error);
    else if (!files.insert(SamplesFileName(parsed.arm.name)).second)
      root.errors().Add(node.Mark(), fmt::format("arms: '{}' is there twice, or the name is that of a baseline, or its "
                                                 "outputs land in the same file as those of another",
                                                 parsed.arm.name));
    else if (needs_documents)
      root.errors().Add(node.Mark(), fmt::format("arms: '{}' needs data.documents", parsed.arm.name));
    else
      config.arms.push_back(parsed.arm);
  }
}

void ReadQuantize(YamlMap map, const Config& config, QuantizeConfig& quantize) {
  quantize.calibration = config.data.train;
  YamlMap calibration(map.Node("calibration"), map.Name("calibration"), map.errors());
  std::string from = "train";
  calibration.String("from", from);
  if (from == "model")
    quantize.calibration.clear();
  else if (from != "train")
    calibration.Path("from", config.file.parent_path(), quantize.calibration);
  calibration.Int("samples", 2, kMany, quantize.samples);
  calibration.Int("length", 16, kMany, quantize.length);
  map.Int("group_size", -1, 128, quantize.group_size);
  constexpr std::array kGroupSizes = {-1, 32, 64, 128};
  if (std::ranges::find(kGroupSizes, quantize.group_size) == kGroupSizes.end())
    map.Wrong("group_size", "32, 64, 128, or -1 for whole rows");
  map.Bool("act_order", quantize.act_order);
  map.Bool("error_feedback", quantize.error_feedback);
}

void ReadPrompting(YamlMap map, Config& config) {
  YamlMap few(map.Node("few_shot"), "prompting.few_shot", map.errors());
  few.Int("examples", 1, 64, config.few_shot.examples);
  few.Choice("select", {"fixed", "similar"}, config.few_shot.select);
  YamlMap rag(map.Node("rag"), "prompting.rag", map.errors());
  rag.Int("top_k", 1, 64, config.rag.top_k);
  rag.Choice("retriever", {kRetrieverNames.begin(), kRetrieverNames.end()}, config.rag.retriever);
  rag.String("embedder", config.rag.embedder);
  rag.Choice("refuse", {"calibrated", "never"}, config.rag.refuse);
  rag.Int("chunk_tokens", 16, 1 << 16, config.rag.chunk_tokens);
}

void ReadEval(YamlMap& map, EvalOptions& eval) {
  map.Int("max_new_tokens", 1, 1 << 16, eval.max_new_tokens);
  map.Number("temperature", 0, 100, eval.temperature);
  map.Int("repetitions", 1, 1000, eval.repetitions);
  map.Number("confidence", 0.5, 0.9999, eval.confidence);
  map.Int("bootstrap", 100, 1 << 20, eval.bootstrap);
  map.Number("margin", 0, 1, eval.margin);
}

// Without answers. int8 is shown beside one scale for a whole matrix where nothing is said.
void ReadTextOnly(YamlMap& map, Config& config) {
  std::vector<std::string> words;
  map.Strings("text_only", words);
  if (!map.Has("text_only") && std::ranges::find(config.arms, "int8", &ArmConfig::name) != config.arms.end())
    words = {"int8-per-tensor"};
  for (const std::string& word : words) {
    const ParsedArm parsed = ParseArm(word, config.adapters);
    if (!parsed.error.empty() || parsed.arm.prompting != Prompting::kZeroShot)
      map.errors().Add(
          map.Node("text_only").Mark(),
          "eval.text_only: " +
              (parsed.error.empty() ? "'" + word + "': weights, or an adapter, without prompting" : parsed.error));
    else if (std::ranges::find(config.arms, parsed.arm.name, &ArmConfig::name) == config.arms.end() &&
             std::ranges::find(config.text_only, parsed.arm.name, &ArmConfig::name) == config.text_only.end())
      config.text_only.push_back(parsed.arm);
  }
}

void ReadComparisons(YamlMap& root, Config& config) {
  const YAML::Node list = root.Node("comparisons");
  if (!list.IsDefined() || list.IsNull()) return;
  if (!list.IsSequence()) return root.Wrong("comparisons", "a list of {better, than, slice, metric}");
  for (const YAML::Node& node : list) {
    YamlMap map(node, "comparisons", root.errors());
    ComparisonConfig comparison;
    map.String("better", comparison.better);
    map.String("than", comparison.than);
    map.String("slice", comparison.slice);
    map.String("metric", comparison.metric);
    for (const std::string& name : {comparison.better, comparison.than}) {
      if (std::ranges::find(config.arms, name, &ArmConfig::name) == config.arms.end())
        root.errors().Add(node.Mark(), fmt::format("comparisons: '{}' is none of the arms", name));
    }
    if (comparison.slice.empty() || comparison.metric.empty())
      root.errors().Add(
          node.Mark(),
          "comparisons: slice and metric are needed, e.g. {better: lora, than: base, slice: behaviour, metric: exact}");
    config.comparisons.push_back(std::move(comparison));
  }
}

void ReadHours(YamlMap map, HumanHours& hours) {
  for (const auto& [key, value] :
       {std::pair("prompt", &hours.prompt), std::pair("adapter", &hours.adapter), std::pair("index", &hours.index),
        std::pair("adapter_update", &hours.adapter_update), std::pair("index_update", &hours.index_update)})
    map.Number(key, 0, 1e6, *value);
}

void ReadAnswerPrices(YamlMap map, AnswerPrices& prices) {
  for (const auto& [key, value] :
       {std::pair("wrong", &prices.wrong), std::pair("stale", &prices.stale), std::pair("refused", &prices.refused)}) {
    if (!map.Has(key)) continue;
    double price = 0;
    map.Number(key, 0, 1e9, price);
    *value = price;
  }
}

void ReadDecide(YamlMap map, const HardwareConfig& hardware, double confidence, DecideOptions& decide) {
  YamlMap required(map.Node("required"), "decide.required", map.errors());
  for (const std::string& slice : required.Keys()) {
    double floor = 0;
    required.Number(slice, 0, 1, floor);
    decide.required[slice] = floor;
  }
  decide.memory_budget = hardware.memory;
  map.Bytes("memory_budget", decide.memory_budget);
  map.Number("memory_margin", 0, 10, decide.memory_margin);
  map.Seconds("latency_p95", decide.latency_p95);
  map.Seconds("update_delay", decide.update_delay);
  map.Number("queries_per_month", 0, 1e12, decide.queries_per_month);
  map.Number("changes_per_month", 0, 1e9, decide.changes_per_month);
  map.Number("horizon_months", 0.01, 1200, decide.horizon_months);
  map.Number("utilization", 1e-4, 1, decide.utilization);
  if (map.Has("human_hour_price")) {
    double price = 0;
    map.Number("human_hour_price", 0, 1e6, price);
    decide.human_hour_price = price;
    if (!map.Has("human_hours")) map.Wrong("human_hour_price", "decide.human_hours beside it: how many of which work");
  }
  ReadHours(YamlMap(map.Node("human_hours"), "decide.human_hours", map.errors()), decide.hours);
  ReadAnswerPrices(YamlMap(map.Node("answer_prices"), "decide.answer_prices", map.errors()), decide.answers);
  if (decide.answers.any() && decide.required.empty() && !map.Has("mix"))
    map.Wrong("answer_prices", "decide.required or decide.mix beside them: which questions the queries are");
  YamlMap mix(map.Node("mix"), "decide.mix", map.errors());
  for (const std::string& slice : mix.Keys()) mix.Number(slice, 0, 1e12, decide.mix[slice]);
  decide.price_per_hour = hardware.price_per_hour;
  decide.confidence = confidence;
}

}  // namespace

namespace {

// Every adapter again for each further seed, and every arm that uses it.
void AddReplicas(Config& config) {
  for (AdapterConfig& adapter : config.adapters) adapter.seed = config.seed;
  const std::vector<AdapterConfig> adapters = config.adapters;
  const std::vector<ArmConfig> arms = config.arms;
  for (int k = 1; k < config.seeds; ++k) {
    const uint64_t seed = config.seed + static_cast<uint64_t>(k);
    const auto name_of = [&](const std::string& adapter) { return fmt::format("{}-seed{}", adapter, seed); };
    for (const AdapterConfig& adapter : adapters) {
      AdapterConfig& replica = config.adapters.emplace_back(adapter);
      replica.name = name_of(adapter.name);
      replica.replica_of = adapter.name;
      replica.seed = seed;
    }
    for (const ArmConfig& arm : arms) {
      if (arm.adapter.empty()) continue;
      ArmConfig& replica = config.arms.emplace_back(arm);
      replica.name = fmt::format("{} (seed {})", arm.name, seed);
      replica.adapter = name_of(arm.adapter);
      if (arm.merged) replica.weights = replica.adapter + arm.weights.substr(arm.adapter.size());
      replica.replica_of = arm.name;
    }
  }
}

}  // namespace

const AdapterConfig* FindAdapter(const Config& config, const std::string& name) {
  const auto found = std::ranges::find(config.adapters, name, &AdapterConfig::name);
  return found == config.adapters.end() ? nullptr : &*found;
}

Config LoadConfig(const fs::path& path, int seeds) {
  Config config;
  config.file = path;
  const fs::path base = path.parent_path();
  const YAML::Node document = LoadYaml(path);
  YamlErrors errors(path.string());
  {
    YamlMap root(document, "", errors, {{"lr", "train.learning_rate"}, {"dataset", "data"}, {"base_model", "model"}});
    if (!root.Has("model"))
      errors.Add(root.mark(),
                 "model: is missing; a folder, a .gguf file, a hub id in the local cache, or a name in qad's cache");
    root.String("model", config.model);
    if (!config.model.empty() && fs::exists(base / config.model)) config.model = (base / config.model).string();
    int64_t seed = 0;
    root.Int("seed", 0, INT64_MAX, seed);
    config.seed = static_cast<uint64_t>(seed);
    root.Int("seeds", 1, 100, config.seeds);
    if (seeds > 0) config.seeds = seeds;
    config.output = base / "outputs";
    root.Path("output", base, config.output);
    root.Path("published", base, config.published);
    if (!root.Has("data"))
      errors.Add(root.mark(), "data: is missing; it names data.train and data.eval");
    else
      ReadData(YamlMap(root.Node("data"), "data", errors), base, config.data);
    ReadHardware(YamlMap(root.Node("hardware"), "hardware", errors), config.hardware);
    LoraOptions lora;
    TrainOptions train;
    {
      YamlMap lora_map(root.Node("lora"), "lora", errors, kLoraHints);
      ReadLora(lora_map, lora);
      YamlMap train_map(root.Node("train"), "train", errors, kTrainHints);
      ReadTrain(train_map, train);
    }
    ReadAdapters(YamlMap(root.Node("adapters"), "adapters", errors), config, lora, train, config.adapters);
    ReadQuantize(YamlMap(root.Node("quantize"), "quantize", errors), config, config.quantize);
    ReadPrompting(YamlMap(root.Node("prompting"), "prompting", errors), config);
    ReadArms(root, config);
    {
      YamlMap eval(root.Node("eval"), "eval", errors);
      ReadEval(eval, config.eval);
      ReadTextOnly(eval, config);
    }
    ReadComparisons(root, config);
    ReadDecide(YamlMap(root.Node("decide"), "decide", errors), config.hardware, config.eval.confidence, config.decide);
  }
  errors.Throw();
  AddReplicas(config);
  return config;
}

}  // namespace qad
