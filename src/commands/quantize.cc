// qad quantize MODEL --method int8|gguf|gptq|awq|awq+gptq|rtn|nf4|auto --output PATH.
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/progress.h"
#include "base/yaml.h"
#include "commands/command.h"
#include "experiment/auto_weights.h"
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
  bool asymmetric = false, feedback = false, double_quantization = true;
  std::string budget, floor, layout = "own";
  double max_kl = 0;
};

constexpr const char* kStatistics = "statistics";  // in qad's cache folder

// Methods that write codes in groups.
const std::map<std::string, GroupMethod> kGroupMethods = {{"rtn", GroupMethod::kRtn},
                                                          {"gptq", GroupMethod::kGptq},
                                                          {"awq", GroupMethod::kAwq},
                                                          {"awq+gptq", GroupMethod::kAwqGptq}};

Json ToJson(const QuantizeReport& report, const std::string& method) {
  Json errors = Json::array();
  for (const RoleError& error : report.errors)
    errors.push_back({{"role", RoleName(error.role)},
                      {"tensors", error.tensors},
                      {"values", error.values},
                      {"nmse", error.nmse},
                      {"max_error", error.max_error}});
  return {{"method", method},      {"seconds", report.seconds},           {"peak_rss_bytes", report.peak_rss_bytes},
          {"bytes", report.bytes}, {"source_bytes", report.source_bytes}, {"output", report.output.string()},
          {"errors", errors}};
}

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
    WriteImportance(options.save_importance, importance, calibration.tokens(), options.chosen.length,
                    calibration.source);
  return importance;
}

QuantizeReport QuantizeInGroups(Options& options, const std::filesystem::path& model, const GlobalFlags& flags) {
  GroupModelOptions& groups = options.groups;
  groups.method = kGroupMethods.at(options.method);
  const bool compressed = options.layout == "compressed-tensors";
  groups.packing = compressed                           ? Packing::kCompressed
                   : groups.method == GroupMethod::kAwq ? Packing::kAwq
                                                        : Packing::kGptq;
  groups.groups.symmetric = groups.method != GroupMethod::kAwq && !options.asymmetric;
  groups.groups.group_size = options.group_size < 0 ? 0 : static_cast<size_t>(options.group_size);
  groups.quiet = flags.json;
  groups.threads = flags.threads;
  if (options.calibration.empty() && groups.method != GroupMethod::kRtn)
    Fail(ErrorKind::kUsage, "--method {}: --calibration must name texts", options.method);
  if (groups.packing == Packing::kAwq && groups.groups.bits != 4)
    Fail(ErrorKind::kUsage, "--method awq: its layout has 4 bits; --method awq+gptq writes {} in GPTQ's",
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
  return frame.Finish(options.output, made.bytes, made.source_bytes, made.errors);
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
  if (kGroupMethods.contains(options.method)) return QuantizeInGroups(options, model, flags);
  return QuantizeToGguf(options, model, flags);
}

void PrintReport(const QuantizeReport& report) {
  fmt::print("{}\n  weights   {} (source {})\n  time      {}\n  peak RSS  {}\n\n  {:<20} {:>8} {:>14} {:>11} {:>11}\n",
             report.output.string(), FormatBytes(static_cast<double>(report.bytes)),
             FormatBytes(static_cast<double>(report.source_bytes)), FormatSeconds(report.seconds),
             FormatBytes(static_cast<double>(report.peak_rss_bytes)), "role", "tensors", "weights", "NMSE",
             "max error");
  for (const RoleError& error : report.errors)
    fmt::print("  {:<20} {:>8} {:>14} {:>11.3e} {:>11.3e}\n", RoleName(error.role), error.tensors, error.values,
               error.nmse, error.max_error);
}

void PrintAuto(const AutoWeights& result) {
  const AutoReport& report = result.report;
  PrintReport(report.artefact);
  fmt::print("\n  KL divergence  {:.5f} nats on texts held out from calibration (estimated {:.5f})\n\n",
             result.kl_divergence, report.chosen.estimated_kl);
  if (result.above_floor)
    fmt::print("  the required slice that is worst off is {:.3f} above its floor, on data.dev\n\n",
               *result.above_floor);
  std::map<std::string, size_t> matrices;
  for (const auto& [name, format] : report.formats) ++matrices[format];
  for (const auto& [format, count] : matrices) fmt::print("  {:<8} {} matrices\n", format, count);
}

AutoWeights QuantizeAutomatically(const Options& options, const GlobalFlags& flags) {
  const std::filesystem::path model = ResolveModel(options.model);
  if (!options.budget.empty() + (options.max_kl > 0) + !options.floor.empty() != 1)
    Fail(ErrorKind::kUsage,
         "--method auto: give one of --budget, e.g. 90MB, --max-kl, e.g. 0.05, and --quality-floor, e.g. config.yaml");
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
  }
  return MakeAutoWeights(model, options.output, ReadCalibration(options.calibration, OpenModel(model), options.chosen),
                         automatic, config ? std::optional(FloorsToReach{*config}) : std::nullopt);
}

Json ToJson(const AutoWeights& result) {
  const AutoReport& report = result.report;
  Json json = ToJson(report.artefact, "auto");
  json["kl_divergence"] = result.kl_divergence;
  json["estimated_kl_divergence"] = report.chosen.estimated_kl;
  json["formats"] = Json::object();
  for (const auto& [name, format] : report.formats) json["formats"][name] = format;
  if (result.above_floor) json["above_floor"] = *result.above_floor;
  for (const AutoTrial& trial : report.trials)
    json["trials"].push_back({{"bytes", trial.bytes},
                              {"estimated_kl_divergence", trial.estimated_kl},
                              {result.above_floor ? "short_of_floor" : "kl_divergence", trial.judged}});
  for (const Choice& point : report.front)
    json["front"].push_back({{"bytes", point.bytes}, {"estimated_kl_divergence", point.cost}});
  return json;
}

// An option that the method does not look at was meant for another.
void RequireOwnOptions(const CLI::App& app, const std::string& method) {
  static const std::vector<std::string> kInGroups = {"rtn", "gptq", "awq", "awq+gptq"};
  static const std::vector<std::string> kCalibrated = {"gguf", "auto", "rtn", "gptq", "awq", "awq+gptq"};
  static const std::map<std::string, std::vector<std::string>> kOnlyOf = {
      {"--type", {"gguf"}},
      {"--imatrix", {"gguf"}},
      {"--save-imatrix", {"gguf"}},
      {"--budget", {"auto"}},
      {"--max-kl", {"auto"}},
      {"--quality-floor", {"auto"}},
      {"--error-feedback", {"gguf"}},
      {"--damping", {"gguf", "auto", "gptq", "awq+gptq"}},
      {"--act-order", {"gguf", "auto", "gptq", "awq+gptq"}},
      {"--calibration-samples", kCalibrated},
      {"--calibration-length", kCalibrated},
      {"--seed", kCalibrated},
      {"--bits", kInGroups},
      {"--group-size", kInGroups},
      {"--layout", kInGroups},
      {"--asymmetric", kInGroups},
      {"--double-quantization", {"nf4"}},
      {"--per-tensor", {"int8"}},
      {"--embeddings", {"int8"}},
      {"--calibration", kCalibrated}};
  for (const auto& [option, methods] : kOnlyOf) {
    if (app.count(option) == 0 || std::ranges::find(methods, method) != methods.end()) continue;
    std::string known;
    for (const std::string& one : methods) known += (known.empty() ? "" : ", ") + one;
    Fail(ErrorKind::kUsage, "{}: method {} does not look at it; it is of {}", option, method, known);
  }
}

// Nor is one that only counts beside another looked at without it.
void RequireCompanions(const CLI::App& app, const std::string& method) {
  const auto require = [&](const char* option, const char* companion) {
    if (app.count(option) > 0 && app.count(companion) == 0)
      Fail(ErrorKind::kUsage, "{}: counts only beside {}, which is not given", option, companion);
  };
  for (const char* option : {"--calibration-samples", "--calibration-length", "--seed"})
    require(option, "--calibration");
  if (method != "gguf") return;
  for (const char* option : {"--damping", "--act-order"}) require(option, "--error-feedback");
  if (app.count("--imatrix") > 0 && app.count("--error-feedback") > 0)
    Fail(ErrorKind::kUsage, "--imatrix: error feedback does not look at it: it has more from --calibration");
}

void RunQuantize(Options options, const GlobalFlags& flags) {
  if (!flags.json) WarnOfCodes(ResolveModel(options.model));
  if (options.method == "auto") {
    const AutoWeights result = QuantizeAutomatically(options, flags);
    if (flags.json) return PrintJson(ToJson(result));
    return PrintAuto(result);
  }
  const QuantizeReport report = Quantize(options, flags);
  if (flags.json) return PrintJson(ToJson(report, options.method));
  PrintReport(report);
}

}  // namespace

std::function<void()> AddQuantizeCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "model: folder, .gguf file, hub id in the local cache, or name")->required();
  app.add_option("--method", options->method,
                 "int8: symmetric rounding to nearest; gguf: one of llama.cpp's file types; gptq, awq, awq+gptq, rtn: "
                 "codes in groups; nf4: bitsandbytes' 4 bits; auto: a GGUF file with the type that each matrix needs")
      ->required()
      ->check(CLI::IsMember({"int8", "gguf", "gptq", "awq", "awq+gptq", "rtn", "nf4", "auto"}));
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
    RequireOwnOptions(app, options->method);
    RequireCompanions(app, options->method);
    RunQuantize(*options, flags);
  };
}

}  // namespace qad
