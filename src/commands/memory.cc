// qad memory MODEL|CONFIG.json|PRESET: what a model takes, what it would take, and what fits.
#include <fmt/format.h>

#include <array>
#include <memory>
#include <optional>

#include "adapt/trainer.h"
#include "base/error.h"
#include "base/process.h"
#include "base/progress.h"
#include "base/suggest.h"
#include "base/yaml.h"
#include "commands/command.h"
#include "memory/measure.h"
#include "memory/memory_math.h"
#include "memory/presets.h"
#include "model/source.h"
#include "model/weights.h"

namespace qad {
namespace {

struct Options {
  std::string model, format, budget = "auto";
  std::vector<std::string> kv_types = {"f16"}, train;
  std::vector<uint64_t> contexts, batches = {1};
  TrainingQuery training;
  std::string fit;
  bool measure = false, list_presets = false, machines = false;
};

// What the question is about: a plan, and the files behind it where there are any.
struct Subject {
  std::string title, format;
  Plan plan;
  std::optional<ModelFiles> files;
};

std::string StatedFormat(const ModelConfig& config) {
  if (config.stored_dtype == "bfloat16") return "bf16";
  return config.stored_dtype == "float32" ? "f32" : "fp16";
}

Subject OfConfig(const std::string& title, const ModelConfig& config) {
  const std::string format = StatedFormat(config);
  return {.title = title, .format = format, .plan = PlanInScheme(config, *FindScheme(format)), .files = {}};
}

Subject OfFiles(const std::string& title) {
  Subject subject{.title = title, .format = "", .plan = {}, .files = OpenModel(ResolveModel(title))};
  subject.plan = PlanOf(*subject.files, WeightMode::kAsStored);
  for (const TensorSpec& spec : subject.plan.tensors)
    (void)FindSource(*subject.files, subject.plan.config, spec);  // all there?
  subject.format = MainFormat(subject.plan);
  return subject;
}

// A path is a path; then presets, then names of models in the caches.
Subject Find(const std::string& name) {
  const std::filesystem::path path = name;
  if (path.extension() == ".json") return OfConfig(name, ParseModelConfig(ReadJsonFile(path), name));
  if (!std::filesystem::exists(path))
    if (const Preset* preset = FindPreset(name); preset != nullptr)
      return OfConfig(fmt::format("{} ({})", preset->name, PresetSource(*preset)), PresetConfig(*preset));
  try {
    return OfFiles(name);
  } catch (const Error& error) {
    if (std::filesystem::exists(path)) throw;
    Fail(error.kind(), "{}; nor is it a preset{} (`qad memory --presets` lists them)", error.what(),
         Suggestion(name, PresetNames()));
  }
}

Subject SubjectOf(const Options& options) {
  Subject subject = Find(options.model);
  if (options.format.empty()) return subject;
  subject.plan = PlanInFormat(subject.plan.config, options.format);
  subject.format = options.format;
  subject.files.reset();
  return subject;
}

TrainingMethod MethodOf(const std::string& name) {
  return name == "full" ? TrainingMethod::kFull : name == "qlora" ? TrainingMethod::kQlora : TrainingMethod::kLora;
}

MemoryQuery QueryOf(const Options& options, const Subject& subject) {
  MemoryQuery query;
  query.title = subject.title;
  if (options.machines) query.machines = AllMachines();
  query.machines_context = options.contexts.empty() ? 0 : options.contexts.front();
  query.contexts = options.contexts;
  query.batches = options.batches;
  query.kv_types.clear();
  for (const std::string& type : options.kv_types) query.kv_types.push_back(ParseKvType(type, subject.plan.config));
  const std::string& budget = options.fit.empty() ? options.budget : options.fit;
  const char* flag = options.fit.empty() ? "--memory" : "--fit";
  if (budget == "auto") {
    query.budget = TotalMemoryBytes();
    query.hardware =
        fmt::format("this machine: {} of memory, {}", FormatBytes(static_cast<double>(query.budget)), CpuName());
  } else {
    const std::optional<uint64_t> bytes = ParseBytes(budget);
    if (!bytes || *bytes == 0)
      Fail(ErrorKind::kUsage, "{} {}: expected bytes, as in 16GiB or 900MB, or auto", flag, budget);
    if (*bytes < (uint64_t{1} << 20))
      Fail(ErrorKind::kUsage, "{} {}: that is {} bytes; at least 1MiB, with its unit, as in 16GiB", flag, budget,
           *bytes);
    query.budget = *bytes;
  }
  for (const std::string& method : options.train) {
    TrainingQuery training = options.training;
    training.method = MethodOf(method);
    training.tape = TapeOf({});
    query.training.push_back(training);
  }
  return query;
}

std::string Size(uint64_t bytes) { return FormatBytes(static_cast<double>(bytes)); }

Json Parts(const std::vector<MemoryPart>& parts) {
  Json json = Json::object();
  for (const MemoryPart& part : parts) json[part.name] = part.bytes;
  return json;
}

// One case in numbers, and the whole math behind it.
Json ToJson(const Subject& subject, const MemoryQuery& query, const MemoryMath& math, uint64_t context) {
  const ModelConfig& config = subject.plan.config;
  const uint64_t batch = query.batches.front(), weights = subject.plan.weight_bytes();
  const uint64_t kv = KvBytes(config, context, batch, query.kv_types.front()),
                 workspace = InferenceBytes(config, context, batch);
  const bool adapts = !query.training.empty() && query.training.front().method != TrainingMethod::kFull;
  Json json{{"model", subject.title},
            {"format", subject.format},
            {"parameters", math.parameters},
            {"context", context},
            {"batch", batch},
            {"kv_type", math.kv.type},
            {"stored_bytes", subject.plan.stored_bytes()},
            {"weights_bytes", weights},
            {"kv_bytes", kv},
            {"workspace_bytes", workspace},
            {"adapter_bytes", adapts ? AdapterOf(subject.plan, query.training.front()).served_bytes() : 0},
            {"training_bytes", math.training.empty() ? 0 : math.training.front().bytes},
            {"total_bytes", weights + kv + workspace},
            {"measured", nullptr}};
  json["components"]["weights"] = Parts(ResidentWeights(subject.plan, subject.format).parts);
  for (const TrainingMath& training : math.training) json["components"][training.method] = Parts(training.parts);
  for (const PredictedMeasured& check : math.checks) json["measured"][check.what] = check.measured;
  json["math"] = MemoryMathToJson(math);
  return json;
}

void PrintMachines(const MemoryMath& math) {
  if (math.machines.empty()) return;
  fmt::print("\nMachines, context {}, batch {} (speeds are ceilings)\n",
             Grouped(static_cast<uint64_t>(math.machines_context)), math.machines_batch);
  const auto rate = [](double ceiling) { return ceiling > 0 ? FormatRate(ceiling) : std::string("–"); };
  for (const MachineFit& fit : math.machines) {
    if (fit.weights.empty())
      fmt::print("  {:<18} {:>9}  does not fit\n", fit.machine, Size(fit.memory));
    else
      fmt::print("  {:<18} {:>9}  {:<12} {:<5} up to {:>9} tokens  decode ≤ {:>6}  prefill ≤ {:>7} tok/s\n",
                 fit.machine, Size(fit.memory), fit.weights, fit.kv_type,
                 Grouped(static_cast<uint64_t>(fit.max_context)), rate(fit.decode_ceiling), rate(fit.prefill_ceiling));
  }
}

void PrintParts(const std::vector<MemoryPart>& parts) {
  for (const MemoryPart& part : parts) fmt::print("    {:<12} {:>11}  {}\n", part.name, Size(part.bytes), part.formula);
}

void PrintFits(const MemoryMath& math) {
  for (const FitAnswer& fit : math.fits) {
    const std::string what = fmt::format("{} weights, {} cache, batch {}", fit.weights, fit.kv_type, fit.batch);
    if (fit.max_context == 0)
      fmt::print("  {:<36} does not fit\n", what);
    else
      fmt::print("  {:<36} up to {} tokens{}\n", what, Grouped(static_cast<uint64_t>(fit.max_context)),
                 fit.limited_by_model ? " (all the model was trained for)" : "");
  }
}

void PrintCache(const MemoryMath& math) {
  const KvMath& kv = math.kv;
  fmt::print("\nKV cache: {} a token in {} = {}\n", Size(kv.bytes_per_token), kv.type, kv.formula);
  if (kv.bytes_per_token_without_gqa > kv.bytes_per_token)
    fmt::print("  {} query heads share {} KV heads; without that a token would take {}\n", kv.heads, kv.kv_heads,
               Size(kv.bytes_per_token_without_gqa));
  for (const KvPoint& point : kv.points)
    fmt::print("  {:<5} context {:>9}  batch {:>4} {:>11}\n", point.type, Grouped(static_cast<uint64_t>(point.context)),
               point.batch, Size(point.bytes));
}

// The case that was asked for: what it takes, and whether it fits.
void PrintSum(const Subject& subject, const MemoryQuery& query, uint64_t context) {
  const ModelConfig& config = subject.plan.config;
  const uint64_t batch = query.batches.front(), weights = subject.plan.weight_bytes();
  const uint64_t kv = KvBytes(config, context, batch, query.kv_types.front());
  const uint64_t workspace = InferenceBytes(config, context, batch), sum = weights + kv + workspace;
  fmt::print("\nContext {}, batch {}: weights {} + cache {} + workspace {} = {}: {} {}\n", Grouped(context), batch,
             Size(weights), Size(kv), Size(workspace), Size(sum), sum <= query.budget ? "fits in" : "does not fit in",
             Size(query.budget));
  if (context > config.max_positions)
    fmt::print("  beyond the {} positions the model was trained for\n", Grouped(config.max_positions));
}

void Print(const Subject& subject, const MemoryQuery& query, const MemoryMath& math, uint64_t context) {
  fmt::print("{}: family {}, {} parameters, {} positions\n", math.title, subject.plan.config.family->name,
             Grouped(math.parameters), Grouped(static_cast<uint64_t>(math.max_positions)));
  fmt::print("assumed: {}\n\nFits in {}\n", math.hardware, Size(math.fits.front().budget));
  PrintFits(math);
  fmt::print("\nWeights\n");
  for (const WeightsMath& weights : math.weights) {
    fmt::print("  {:<14} {:>11}  {}{}\n", weights.format, Size(weights.bytes), weights.formula,
               weights.stored ? "  (as stored)" : "");
    PrintParts(weights.parts);
  }
  PrintCache(math);
  PrintSum(subject, query, context);
  PrintMachines(math);
  fmt::print("\nWorkspace: {} for a step at the longest context above\n", Size(math.workspace_bytes));
  for (const TrainingMath& training : math.training) {
    fmt::print("\nTraining, {}: {}{}  ({})\n", training.method, Size(training.bytes),
               training.bytes <= query.budget ? "" : ", which does not fit in " + Size(query.budget),
               training.assumptions);
    PrintParts(training.parts);
  }
  if (!math.checks.empty()) fmt::print("\nPredicted and measured\n");
  for (const PredictedMeasured& check : math.checks)
    fmt::print("  {:<28} {:>15} B {:>15} B\n", check.what, Grouped(check.predicted), Grouped(check.measured));
  fmt::print("\n");
  for (const std::string& note : math.notes) fmt::print("- {}\n", note);
}

// One line a preset, in what its repository stores.
void PrintPresets() {
  fmt::print("{:<18} {:>16} {:>11} {:>15}  {}\n", "preset", "parameters", "weights", "cache a token", "from");
  for (const Preset& preset : AllPresets()) {
    try {
      const ModelConfig config = PresetConfig(preset);
      const Plan plan = PlanInFormat(config, StatedFormat(config));
      fmt::print("{:<18} {:>16} {:>11} {:>15}  {}\n", preset.name, Grouped(plan.parameters()),
                 Size(plan.stored_bytes()), Size(KvBytes(config, 1, 1, FormatId::kF16)), PresetSource(preset));
    } catch (const Error& error) {
      fmt::print("{:<18} {}\n", preset.name, error.what());
    }
  }
}

void PrintFit(const Subject& subject, const MemoryQuery& query, const std::vector<FormatFits>& fits) {
  fmt::print("{} in {}, batch {}: tokens of context (of {})\n\n  {:<12} {:>10}", subject.title, Size(query.budget),
             query.batches.front(), Grouped(subject.plan.config.max_positions), "weights", "in memory");
  for (const FitAnswer& answer : fits.front().answers) fmt::print(" {:>13}", answer.kv_type + " cache");
  fmt::print("\n");
  for (const FormatFits& row : fits) {
    fmt::print("  {:<12} {:>10}", row.format, Size(row.bytes));
    for (const FitAnswer& fit : row.answers)
      fmt::print(" {:>13}", fit.max_context == 0 ? "–"
                                                 : Grouped(static_cast<uint64_t>(fit.max_context)) +
                                                       (fit.limited_by_model ? " all" : ""));
    fmt::print("\n");
  }
  fmt::print("\n  –: does not fit. all: the model was trained for no more.\n");
}

Json ToJson(const Subject& subject, const MemoryQuery& query, const std::vector<FormatFits>& fits) {
  Json rows = Json::array();
  for (const FormatFits& row : fits) {
    Json& answers = rows.emplace_back(Json{{"weights", row.format}, {"weights_bytes", row.bytes}})["caches"];
    for (const FitAnswer& fit : row.answers)
      answers.push_back(
          {{"kv_type", fit.kv_type}, {"max_context", fit.max_context}, {"limited_by_model", fit.limited_by_model}});
  }
  return {
      {"model", subject.title}, {"budget_bytes", query.budget}, {"batch", query.batches.front()}, {"formats", rows}};
}

void RunMemory(const Options& options, const GlobalFlags& flags) {
  if (options.list_presets) return PrintPresets();
  if (options.model.empty())
    Fail(ErrorKind::kUsage, "name a model, a config.json or a preset; `qad memory --presets` lists these");
  const Subject subject = SubjectOf(options);
  const MemoryQuery query = QueryOf(options, subject);
  if (!options.fit.empty()) {
    const std::vector<FormatFits> fits = FitsOf(subject.plan, subject.format, query.batches.front(), query.budget);
    return flags.json ? PrintJson(ToJson(subject, query, fits)) : PrintFit(subject, query, fits);
  }
  MemoryMath math = MakeMemoryMath(subject.plan, subject.format, subject.files.has_value(), query);
  const uint64_t context = query.contexts.empty() ? std::min<uint64_t>(kUsualContext, subject.plan.config.max_positions)
                                                  : query.contexts.front();
  if (options.measure) {
    if (!subject.files) Fail(ErrorKind::kUsage, "--measure needs a model's files, as they are stored");
    if (context > subject.plan.config.max_positions)
      Fail(ErrorKind::kUsage, "--measure: the model has {} positions", subject.plan.config.max_positions);
    math.checks = MeasureMemory(*subject.files, subject.plan, context, query.batches.front(), query.kv_types.front(),
                                flags.threads);
  }
  if (flags.json)
    PrintJson(ToJson(subject, query, math, context));
  else
    Print(subject, query, math, context);
}

}  // namespace

std::function<void()> AddMemoryCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model,
                 "model (folder, .gguf, hub id, name), a config.json, or a preset, as llama-3.1-8b");
  app.add_option("--fit", options->fit, "only this: what fits into so much memory, as 24GiB, in which formats");
  app.add_flag("--machines", options->machines, "what fits on common devices, and their speeds at most");
  app.add_flag("--presets", options->list_presets, "list the presets");
  app.add_option("--context", options->contexts, "tokens of a sequence; several make a table")
      ->check(CLI::Range(1, INT32_MAX));
  app.add_option("--batch", options->batches, "sequences at once")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--kv-type", options->kv_types, "format of the KV cache")->capture_default_str();
  app.add_option("--format", options->format, "weights as if stored so: " + FormatNames());
  app.add_option("--memory", options->budget, "what it must fit in, as 16GiB; auto: this machine's")
      ->capture_default_str();
  app.add_option("--train", options->train, "training memory of these methods")
      ->check(CLI::IsMember({"lora", "qlora", "full"}));
  app.add_option("--rank", options->training.r, "rank of the adapter")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  app.add_option("--target-modules", options->training.targets, "layers to adapt")->capture_default_str();
  app.add_option("--train-tokens", options->training.tokens, "packed tokens of one training pass")
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_flag("--measure", options->measure, "load the model, run one step, and put measured beside predicted");
  return [options, &flags] { RunMemory(*options, flags); };
}

}  // namespace qad
