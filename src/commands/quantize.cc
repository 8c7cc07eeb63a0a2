// qad quantize MODEL --method int8|gguf|gptq|awq|awq-gptq|rtn|nf4|auto --output PATH.
#include <fmt/format.h>

#include <memory>
#include <optional>

#include "base/error.h"
#include "base/progress.h"
#include "base/yaml.h"
#include "commands/command.h"
#include "commands/quantize_methods.h"
#include "commands/quantize_report.h"
#include "experiment/auto_weights.h"
#include "experiment/leak_guard.h"
#include "io/model_files.h"
#include "memory/weights_math.h"
#include "model/weights.h"
#include "ops/context.h"
#include "quantize/calibration.h"
#include "quantize/ggml_grid.h"
#include "quantize/gguf_model.h"
#include "quantize/group_model.h"
#include "quantize/nf4_model.h"
#include "quantize/rtn_int8.h"
#include "quantize/statistics.h"

namespace qad {
namespace {

struct Options {
  std::string model, method, output;
  Int8Options int8;
  std::string type = "Q4_K_M", importance, calibration, save_importance;
  CalibrationOptions chosen;
  GroupModelOptions groups;
  int group_size = 64;
  bool asymmetric = false, feedback = false, double_quantization = true, allow_leak = false;
  std::string budget, floor, judged, layout = "own";
  double max_kl = 0;
};

constexpr const char* kStatistics = "statistics";  // in qad's cache folder

// From a file, or measured on calibration texts; none where neither is named.
std::optional<Importance> FindImportance(const Options& options, const std::filesystem::path& model,
                                         const GlobalFlags& flags) {
  if (!options.importance.empty() && !options.calibration.empty())
    Fail(ErrorKind::kUsage, "--imatrix and --calibration: name one of them");
  if (!options.save_importance.empty() && options.calibration.empty())
    Fail(ErrorKind::kUsage, "--save-imatrix: --calibration must name the texts to measure it on");
  if (!options.importance.empty()) return ReadImportance(options.importance);
  if (options.calibration.empty()) return std::nullopt;
  const ModelFiles files = OpenModel(model);
  const Calibration calibration = ReadCalibration(options.calibration, files, options.chosen);
  Context context(Numerics::kFast, flags.threads);
  Importance importance =
      Statistics(CacheFolder() / kStatistics, files, calibration).GetImportance(context, flags.json);
  if (!options.save_importance.empty())
    WriteImportance(options.save_importance, importance, calibration.tokens(), calibration.longest(),
                    calibration.source);
  return importance;
}

QuantizeReport QuantizeInGroups(Options& options, const std::filesystem::path& model, const GlobalFlags& flags) {
  GroupModelOptions& groups = options.groups;
  groups.method = *FindQuantizeMethod(options.method)->groups;
  const bool compressed = options.layout == "compressed-tensors";
  groups.packing = compressed ? Packing::kCompressed : OwnPacking(groups.method);
  groups.groups.symmetric = IsSymmetric(groups.method) && !options.asymmetric;
  groups.groups.group_size = options.group_size < 0 ? 0 : static_cast<size_t>(options.group_size);
  groups.quiet = flags.json;
  groups.threads = flags.threads;
  if (options.calibration.empty() && groups.method != GroupMethod::kRtn)
    Fail(ErrorKind::kUsage, "--method {}: --calibration must name texts", options.method);
  if (groups.packing == Packing::kAwq && groups.groups.bits != 4)
    Fail(ErrorKind::kUsage, "--method awq: its layout has 4 bits; --method awq-gptq writes {} in GPTQ's",
         groups.groups.bits);
  Calibration calibration;
  if (!options.calibration.empty())
    calibration = ReadCalibration(options.calibration, OpenModel(model), options.chosen);
  return QuantizeGroups(model, options.output, calibration, groups);
}

QuantizeReport QuantizeToGguf(const Options& options, const std::filesystem::path& model, const GlobalFlags& flags) {
  const ReportFrame frame(flags.threads);
  GgufOptions gguf{.type = FindGgufFileType(options.type), .quiet = flags.json, .threads = flags.threads};
  if (options.feedback && options.calibration.empty())
    Fail(ErrorKind::kUsage, "--error-feedback: --calibration must name texts");
  if (options.feedback && !GgmlGrid::Has(gguf.type->format))
    Fail(ErrorKind::kUsage, "--error-feedback: {} rounds nothing that could be fed back", gguf.type->name);
  if (!GgmlGrid::Has(gguf.type->format) && options.save_importance.empty() &&
      (!options.calibration.empty() || !options.importance.empty()))
    Fail(ErrorKind::kUsage, "--calibration, --imatrix: {} has no scales that could be weighted", gguf.type->name);
  std::optional<Importance> importance;
  std::optional<Calibration> texts;
  if (!options.feedback || !options.save_importance.empty()) importance = FindImportance(options, model, flags);
  if (options.feedback) {
    texts = ReadCalibration(options.calibration, OpenModel(model), options.chosen);
    gguf.feedback = {.calibration = &*texts, .damping = options.groups.damping, .act_order = options.groups.act_order};
  } else if (importance) {
    gguf.importance = &*importance;
  }
  const GgufMade made = MakeGguf(model, options.output, gguf);
  return frame.Finish(options.output, made.bytes, made.source_bytes, made.errors, made.changes);
}

// Weights that were rounded once are rounded again from what is left of them.
void WarnOfCodes(const std::filesystem::path& model) {
  const std::string format = MainFormat(PlanOf(OpenModel(model), WeightMode::kAsStored));
  if (format != "f32" && format != "f16" && format != "bf16")
    fmt::print(stderr,
               "! {} holds its weights in {} already: what that lost stays lost, and formats on the same grid look "
               "better than they are\n",
               model.string(), format);
}

QuantizeReport Quantize(Options& options, const GlobalFlags& flags) {
  const std::filesystem::path model = ResolveModel(options.model);
  if (options.method == "int8") {
    options.int8.quiet = flags.json;
    options.int8.threads = flags.threads;
    return QuantizeInt8(model, options.output, options.int8);
  }
  if (options.method == "nf4")
    return QuantizeNf4(
        model, options.output,
        {.double_quantization = options.double_quantization, .quiet = flags.json, .threads = flags.threads});
  if (FindQuantizeMethod(options.method)->groups) return QuantizeInGroups(options, model, flags);
  return QuantizeToGguf(options, model, flags);
}

AutoWeights QuantizeAutomatically(const Options& options, const GlobalFlags& flags) {
  const std::filesystem::path model = ResolveModel(options.model);
  if (!options.budget.empty() + (options.max_kl > 0) + !options.floor.empty() != 1)
    Fail(ErrorKind::kUsage,
         "--method auto: give one of --budget, e.g. 90MB, --max-kl, e.g. 0.05, or --quality-floor, e.g. config.yaml");
  if (options.calibration.empty()) Fail(ErrorKind::kUsage, "--method auto: --calibration must name texts");
  AutoOptions automatic{.limit = options.max_kl,
                        .judge = nullptr,
                        .damping = options.groups.damping,
                        .act_order = options.groups.act_order,
                        .statistics = CacheFolder() / kStatistics,
                        .quiet = flags.json,
                        .threads = flags.threads};
  if (!options.budget.empty()) {
    const std::optional<uint64_t> budget = ParseBytes(options.budget);
    if (!budget || *budget == 0)
      Fail(ErrorKind::kUsage, "--budget {}: bytes are expected, e.g. 90MB or 85MiB", options.budget);
    automatic.budget = *budget;
  }
  std::optional<Config> config;
  if (!options.floor.empty()) {
    config = LoadConfig(options.floor);
    config->model = model.string();
    for (const auto& judged : {config->data.dev, config->data.eval})
      if (!judged.empty()) RequireCleanTexts(options.calibration, LoadDataset(judged), options.allow_leak);
  }
  CalibrationOptions chosen = options.chosen;
  if (config) chosen.system_prompt = config->data.system_prompt;  // as the configuration's own arm calibrates
  return MakeAutoWeights(model, options.output, ReadCalibration(options.calibration, OpenModel(model), chosen),
                         automatic, config ? std::optional(FloorsToReach{*config}) : std::nullopt);
}

void RunQuantize(Options options, const GlobalFlags& flags) {
  if (!options.judged.empty()) RequireCleanTexts(options.calibration, LoadDataset(options.judged), options.allow_leak);
  WarnOfCodes(ResolveModel(options.model));
  if (options.method == "auto") {
    const AutoWeights result = QuantizeAutomatically(options, flags);
    if (flags.json) return PrintJson(ReportJson(result));
    return PrintReport(result);
  }
  const QuantizeReport report = Quantize(options, flags);
  if (flags.json) return PrintJson(ReportJson(report, options.method));
  PrintReport(report);
}

}  // namespace

std::function<void()> AddQuantizeCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "model: folder, .gguf file, hub id in the local cache, or name")->required();
  std::vector<std::string> methods;
  for (const QuantizeMethod& method : QuantizeMethods()) methods.emplace_back(method.name);
  app.add_option("--method", options->method,
                 "int8: symmetric rounding to nearest; gguf: one of llama.cpp's file types; gptq, awq, awq-gptq, rtn: "
                 "codes in groups; nf4: bitsandbytes' 4 bits; auto: a GGUF file with the type that each matrix needs")
      ->required()
      ->check(CLI::IsMember(methods));
  app.add_option("--output", options->output, "folder to write; gguf: file")->required();
  std::vector<std::string> types;
  for (const GgufFileType& type : GgufFileTypes()) types.emplace_back(type.name);
  app.add_option("--type", options->type, "gguf: file type")
      ->check(CLI::IsMember(types, CLI::ignore_case))
      ->capture_default_str();
  app.add_option("--imatrix", options->importance,
                 "gguf: importance matrix, as llama-imatrix or --save-imatrix wrote it");
  app.add_option("--calibration", options->calibration,
                 "texts whose activations the method looks at: .jsonl dataset, or text");
  app.add_option("--calibration-samples", options->chosen.samples, "at most so many")
      ->check(CLI::Range(1, 1 << 20))
      ->capture_default_str();
  app.add_option("--calibration-length", options->chosen.length, "tokens of a sample at most")
      ->check(CLI::Range(16, 1 << 20))
      ->capture_default_str();
  app.add_flag(
      "--error-feedback", options->feedback,
      "gguf: what rounding a weight leaves is taken up by those that follow (as gptq does); wants --calibration");
  app.add_option("--budget", options->budget, "auto: bytes of the file at most, e.g. 90MB: the best that fits");
  app.add_option("--max-kl", options->max_kl,
                 "auto: KL divergence from the model at most, on texts held out from --calibration: the smallest file")
      ->check(CLI::Range(1e-6, 100.0));
  app.add_option(
      "--quality-floor", options->floor,
      "auto: config.yaml whose decide.required is reached on its data.dev, without examples or passages: the "
      "smallest file");
  app.add_option("--eval", options->judged,
                 "dataset that the weights will be judged on: none of its items may stand among the texts");
  app.add_flag("--allow-leak", options->allow_leak,
               "items of --eval, or of --quality-floor's data, may stand among the texts");
  app.add_option("--bits", options->groups.groups.bits, "groups: of a code")
      ->check(CLI::IsMember({2, 3, 4, 8}))
      ->capture_default_str();
  app.add_option("--group-size", options->group_size, "groups: inputs that share a scale, -1 for a whole row")
      ->check(CLI::IsMember({-1, 32, 64, 128}))
      ->capture_default_str();
  app.add_flag("--double-quantization,!--no-double-quantization", options->double_quantization,
               "nf4: scales as bytes (the default)");
  app.add_option("--layout", options->layout,
                 "groups: own: GPTQ's, or AWQ's of method awq; or that of compressed-tensors (pack-quantized)")
      ->check(CLI::IsMember({"own", "compressed-tensors"}))
      ->capture_default_str();
  app.add_flag("--asymmetric", options->asymmetric, "groups: with zeros (AWQ always has them)");
  app.add_flag("--act-order,!--no-act-order", options->groups.act_order,
               "gptq: inputs of large moments first, groups as they lie (the default)");
  app.add_option("--damping", options->groups.damping, "gptq: share of the mean moment that is added to all")
      ->check(CLI::Range(1e-6, 1.0))
      ->capture_default_str();
  app.add_option("--seed", options->chosen.seed, "which samples are chosen where there are more")
      ->capture_default_str();
  app.add_option("--save-imatrix", options->save_importance, "file to keep what --calibration measured in");
  app.add_flag("--per-tensor", options->int8.per_tensor,
               "one scale for a whole matrix instead of one an output channel");
  app.add_flag("--embeddings", options->int8.embeddings, "embeddings and an untied head too");
  return [options, &flags, &app] {
    RequireOwnOptions(app, *FindQuantizeMethod(options->method));
    RunQuantize(*options, flags);
  };
}

}  // namespace qad
