// qad memory MODEL|CONFIG.json|PRESET: what a model takes, what it would take, and what fits.
#include <fmt/format.h>

#include <array>
#include <memory>
#include <optional>

#include "adapt/trainer.h"
#include "base/capped.h"
#include "base/error.h"
#include "base/process.h"
#include "base/progress.h"
#include "base/suggest.h"
#include "base/yaml.h"
#include "commands/command.h"
#include "commands/memory_text.h"
#include "memory/measure.h"
#include "memory/memory_math.h"
#include "memory/presets.h"
#include "model/load.h"
#include "model/source.h"
#include "model/weights.h"

namespace qad {
namespace {

struct Options {
  std::string model, format, budget = "auto", trainer = "qad";
  std::vector<std::string> kv_types = {"f16"}, train;
  std::vector<uint64_t> contexts, batches = {1}, sequences, training_batches = {1};
  std::vector<int> ranks = {8};
  uint64_t sequences_at_once = 8, tokens_used = 0;
  std::optional<uint64_t> shared_prefix;
  TrainingQuery training;
  TorchSettings torch;
  Machine own;
  std::string fit;
  bool measure = false, list_presets = false, machines = false;
};

std::string StatedFormat(const ModelConfig& config) {
  if (config.stored_dtype == "bfloat16") return "bf16";
  return config.stored_dtype == "float32" ? "f32" : "fp16";
}

MemorySubject OfConfig(const std::string& title, const ModelConfig& config) {
  const std::string format = StatedFormat(config);
  return {.title = title, .format = format, .plan = PlanInScheme(config, *FindScheme(format)), .files = {}};
}

MemorySubject OfFiles(const std::string& title) {
  ModelFiles files = OpenModel(ResolveModel(title), ModelParts::kHeaders);
  Plan plan = PlanOf(files, WeightMode::kAsStored);
  if (!files.complete())
    fmt::print(stderr, "! {}: ends before its tensors do: what its header says is taken, for arithmetic alone\n",
               files.path.string());
  else
    for (const TensorSpec& spec : plan.tensors) (void)FindSource(files, plan.config, spec);  // all there?
  const std::string format = MainFormat(plan);
  return {.title = title, .format = format, .plan = std::move(plan), .files = std::move(files)};
}

// A path is a path; then presets, then names of models in the caches.
MemorySubject Find(const std::string& name) {
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

MemorySubject SubjectOf(const Options& options) {
  MemorySubject subject = Find(options.model);
  if (options.format.empty()) return subject;
  subject.plan = PlanInFormat(subject.plan.config, options.format);
  subject.format = options.format;
  subject.files.reset();
  return subject;
}

TrainingMethod MethodOf(const std::string& name) {
  return name == "full" ? TrainingMethod::kFull : name == "qlora" ? TrainingMethod::kQlora : TrainingMethod::kLora;
}

// The program, and the tokenizer where it is one that this program reads.
std::vector<MemoryPart> EngineOf(const MemorySubject& subject, uint64_t program) {
  std::vector<MemoryPart> engine = {{"program", "measured: before it loads anything", program}};
  if (!subject.files) return engine;
  try {
    engine.push_back({"tokenizer", "its tables", LoadTokenizer(*subject.files).bytes()});
  } catch (const Error& error) {
    fmt::print(stderr, "! the tokenizer is not counted: {}\n", error.what());
  }
  return engine;
}

// The user's own machine first, where anything is said of it.
std::vector<Machine> MachinesOf(const Options& options, uint64_t memory) {
  std::vector<Machine> machines;
  if (options.own.bytes_per_second > 0 || options.own.flops > 0 || options.own.price_per_hour > 0) {
    machines.push_back(options.own);
    machines.back().name = "yours";
    machines.back().memory = memory;
    machines.back().source = "the command line";
    machines.back().runs_qad = true;
    machines.back().bytes_per_second *= 1e9;
    machines.back().flops *= 1e12;
  }
  for (Machine& machine : AllMachines()) machines.push_back(std::move(machine));
  return machines;
}

MemoryQuery QueryOf(const Options& options, const MemorySubject& subject, uint64_t program) {
  MemoryQuery query;
  query.title = subject.title;
  query.engine = EngineOf(subject, program);
  query.case_context = options.contexts.empty() ? 0 : options.contexts.front();
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
  if (options.machines) query.machines = MachinesOf(options, query.budget);
  query.allotted_batch = options.sequences_at_once;
  query.allotted_tokens = options.tokens_used;
  query.shared_prefix = options.shared_prefix;
  for (const std::string& method : options.train) {
    TrainingQuery training = options.training;
    training.method = MethodOf(method);
    training.r = options.ranks.front();
    training.tape.bf16 = TapeOf({}).bf16;
    if (options.trainer == "torch") training.torch = options.torch;
    query.training.push_back(training);
  }
  query.grid = {.methods = query.training,
                .sequences = options.sequences,
                .batches = options.training_batches,
                .ranks = options.ranks};
  return query;
}

Json Parts(const std::vector<MemoryPart>& parts) {
  Json json = Json::object();
  for (const MemoryPart& part : parts) json[part.name] = part.bytes;
  return json;
}

// One case in numbers, and the whole math behind it.
Json ToJson(const MemorySubject& subject, const MemoryQuery& query, const MemoryMath& math, uint64_t context) {
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
            {"engine_bytes", query.engine_bytes()},
            {"adapter_bytes", adapts ? AdapterOf(subject.plan, query.training.front()).served_bytes() : 0},
            {"training_bytes", math.training.empty() ? 0 : math.training.front().bytes},
            {"total_bytes", CappedSum({query.engine_bytes(), weights, kv, workspace})},
            {"measured", nullptr}};
  json["components"]["weights"] = Parts(ResidentWeights(subject.plan, subject.format).parts);
  for (const TrainingMath& training : math.training) json["components"][training.method] = Parts(training.parts);
  for (const PredictedMeasured& check : math.checks) json["measured"][check.what] = check.measured;
  json["math"] = MemoryMathToJson(math);
  return json;
}

Json ToJson(const MemorySubject& subject, const MemoryQuery& query, const std::vector<FormatFits>& fits) {
  Json rows = Json::array();
  for (const FormatFits& row : fits) {
    Json& answers = rows.emplace_back(Json{{"weights", row.format}, {"weights_bytes", row.bytes}})["caches"];
    for (const FitAnswer& fit : row.answers)
      answers.push_back(
          {{"kv_type", fit.kv_type}, {"max_context", fit.max_context}, {"limited_by_model", fit.limited_by_model}});
  }
  return {{"model", subject.title},         {"runs", subject.plan.config.family->runs},
          {"budget_bytes", query.budget},   {"engine_bytes", query.engine_bytes()},
          {"batch", query.batches.front()}, {"formats", rows}};
}

// One line a preset, in what its repository stores.
void PrintPresets() {
  fmt::print("{:<18} {:>16} {:>11} {:>15}  {}\n", "preset", "parameters", "weights", "cache a token", "from");
  for (const Preset& preset : AllPresets()) {
    try {
      const ModelConfig config = PresetConfig(preset);
      const Plan plan = PlanInFormat(config, StatedFormat(config));
      fmt::print("{:<18} {:>16} {:>11} {:>15}  {}\n", preset.name, Grouped(plan.parameters()),
                 FormatBytes(static_cast<double>(plan.stored_bytes())),
                 FormatBytes(static_cast<double>(KvBytes(config, 1, 1, FormatId::kF16))), PresetSource(preset));
    } catch (const Error& error) {
      fmt::print("{:<18} {}\n", preset.name, error.what());
    }
  }
}

// What CLI11's needs and excludes cannot say.
void RequireSense(const Options& options) {
  const bool torch = options.trainer == "torch";
  if (!torch && (options.torch.offloading || !options.torch.checkpointing ||
                 options.torch.loss_chunks != TorchSettings().loss_chunks))
    Fail(ErrorKind::kUsage, "--offload, --keep-activations and --loss-chunks are of --trainer torch");
  if (torch && options.training.tape.recompute)
    Fail(ErrorKind::kUsage, "--recompute is of this program; --trainer torch does so but for --keep-activations");
  if (options.sequences.empty() && (options.ranks.size() > 1 || options.training_batches != std::vector<uint64_t>{1}))
    Fail(ErrorKind::kUsage, "several --rank, and --train-batch, make a table: say its --train-sequence");
  if (torch && options.torch.offloading && !options.torch.checkpointing)
    Fail(ErrorKind::kUsage, "--offload is of checkpointed activations, not of --keep-activations");
  if (options.measure && (options.contexts.size() > 1 || options.batches.size() > 1 || !options.train.empty()))
    Fail(ErrorKind::kUsage, "--measure: one --context, one --batch and no --train");
  if (!options.fit.empty() && options.batches.size() > 1) Fail(ErrorKind::kUsage, "--fit: one --batch at a time");
}

Json PresetsJson() {
  Json presets = Json::array();
  for (const Preset& preset : AllPresets()) {
    Json& entry = presets.emplace_back(Json{{"name", preset.name}, {"source", PresetSource(preset)}});
    try {
      const ModelConfig config = PresetConfig(preset);
      const Plan plan = PlanInFormat(config, StatedFormat(config));
      entry["family"] = config.family->name;
      entry["runs"] = config.family->runs;
      entry["parameters"] = plan.parameters();
      entry["stored_bytes"] = plan.stored_bytes();
      entry["kv_bytes_per_token"] = KvBytes(config, 1, 1, FormatId::kF16);
    } catch (const Error& error) {
      entry["error"] = error.what();
    }
  }
  return Json{{"presets", presets}};
}

void RunMemory(const Options& options, const GlobalFlags& flags) {
  const uint64_t program = CurrentRssBytes();
  if (options.list_presets) return flags.json ? PrintJson(PresetsJson()) : PrintPresets();
  if (options.model.empty())
    Fail(ErrorKind::kUsage, "name a model, a config.json or a preset; `qad memory --presets` lists these");
  RequireSense(options);
  const MemorySubject subject = SubjectOf(options);
  const MemoryQuery query = QueryOf(options, subject, program);
  if (!options.fit.empty()) {
    const std::vector<FormatFits> fits =
        FitsOf(subject.plan, subject.format, query.batches.front(), query.budget, query.engine_bytes());
    return flags.json ? PrintJson(ToJson(subject, query, fits)) : PrintFits(subject, query, fits);
  }
  MemoryMath math = MakeMemoryMath(subject.plan, subject.format, subject.files.has_value(), query);
  const uint64_t context = CaseContext(subject.plan.config, query);
  if (options.measure) {
    if (!subject.files || !subject.files->complete())
      Fail(ErrorKind::kUsage, "--measure needs a model's files, as they are stored and whole: {} is {}", options.model,
           subject.files ? "cut behind its header"
                         : "a preset, a configuration or a --format; name the files by their path");
    if (context > subject.plan.config.max_positions)
      Fail(ErrorKind::kUsage, "--measure: the model has {} positions", subject.plan.config.max_positions);
    math.checks = MeasureMemory(*subject.files, subject.plan, context, query.batches.front(), query.kv_types.front(),
                                flags.threads);
  }
  if (flags.json)
    PrintJson(ToJson(subject, query, math, context));
  else
    PrintMemory(subject, query, math, context);
}

}  // namespace

std::function<void()> AddMemoryCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model,
                 "model (folder, .gguf, hub id, name), a config.json, or a preset, as llama-3.1-8b");
  CLI::Option* fit =
      app.add_option("--fit", options->fit, "only this: what fits into so much memory, as 24GiB, in which formats");
  CLI::Option* machines =
      app.add_flag("--machines", options->machines, "what fits on common devices, and their speeds at most")
          ->excludes(fit);
  app.add_flag("--presets", options->list_presets, "list the presets");
  app.add_option("--context", options->contexts, "tokens of a sequence; several make a table")
      ->excludes(fit)
      ->check(CLI::Range(1, INT32_MAX));
  app.add_option("--batch", options->batches, "sequences at once")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--kv-type", options->kv_types, "format of the KV cache")->excludes(fit)->capture_default_str();
  app.add_option("--format", options->format, "weights as if stored so: " + FormatNames());
  app.add_option("--memory", options->budget, "what it must fit in, as 16GiB; auto: this machine's")
      ->excludes(fit)
      ->capture_default_str();
  CLI::Option* train = app.add_option("--train", options->train, "training memory of these methods")
                           ->excludes(fit)
                           ->check(CLI::IsMember({"lora", "qlora", "full"}));
  app.add_option("--rank", options->ranks, "rank of the adapter; several make a table, with --train-sequence")
      ->needs(train)
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  app.add_option("--target-modules", options->training.targets, "layers to adapt")->needs(train)->capture_default_str();
  app.add_option("--train-tokens", options->training.tokens, "packed tokens of one training pass")
      ->needs(train)
      ->check(CLI::Range(1, 1 << 24))
      ->capture_default_str();
  app.add_option("--train-sequence", options->sequences, "tokens of a sequence: a table of these by batch and rank")
      ->needs(train)
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--train-batch", options->training_batches, "sequences of one pass, of that table")
      ->needs(train)
      ->check(CLI::Range(1, 1 << 12))
      ->capture_default_str();
  app.add_flag("--recompute", options->training.tape.recompute, "blocks are computed again on the way back")
      ->needs(train);
  app.add_option("--trainer", options->trainer,
                 "whose memory: this program's, or PyTorch's as torchtune trains in bf16")
      ->needs(train)
      ->check(CLI::IsMember({"qad", "torch"}))
      ->capture_default_str();
  app.add_flag("!--keep-activations", options->torch.checkpointing, "torch: activations are kept, not checkpointed")
      ->needs(train);
  app.add_flag("--offload", options->torch.offloading, "torch: checkpointed activations wait in the host's memory")
      ->needs(train);
  app.add_option("--loss-chunks", options->torch.loss_chunks, "torch: pieces in which logits are made f32")
      ->needs(train)
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--sequences", options->sequences_at_once, "contiguous or paged cache: sequences at once")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--tokens-used", options->tokens_used, "contiguous or paged cache: tokens of each by now")
      ->check(CLI::Range(1, INT32_MAX));
  app.add_option("--shared-prefix", options->shared_prefix, "contiguous or paged cache: tokens they begin with alike")
      ->check(CLI::Range(0, INT32_MAX));
  app.add_option("--bandwidth", options->own.bytes_per_second, "of your machine's memory in GB/s, for --machines")
      ->needs(machines)
      ->check(CLI::Range(1e-3, 1e6));
  app.add_option("--tflops", options->own.flops, "of your machine, dense, in 16 bits, for --machines")
      ->needs(machines)
      ->check(CLI::Range(1e-6, 1e6));
  app.add_option("--price-per-hour", options->own.price_per_hour, "of your machine, for --machines")
      ->needs(machines)
      ->check(CLI::Range(0.0, 1e6));
  app.add_flag("--measure", options->measure, "load the model, run one step, and put measured beside predicted")
      ->excludes(fit);
  return [options, &flags] { RunMemory(*options, flags); };
}

}  // namespace qad
