#include "experiment/manifest.h"

#include <oneapi/dnnl/dnnl_version.h>
#include <sqlite3.h>
#include <sys/utsname.h>

#include <algorithm>
#include <thread>

#include "base/clock.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/json.h"
#include "base/process.h"
#include "experiment/stages.h"
#include "kernels/targets.h"

namespace qad {
namespace {

Json MachineJson(const Workspace& workspace) {
  utsname system{};
  ::uname(&system);
  const HardwareConfig& hardware = workspace.config.hardware;
  return {{"name", hardware.name},
          {"cpu", CpuName()},
          {"cores", std::thread::hardware_concurrency()},
          {"threads", workspace.context.threads},
          {"memory_bytes", TotalMemoryBytes()},
          {"memory_allowed_bytes", hardware.memory > 0 ? hardware.memory : TotalMemoryBytes()},
          {"system", fmt::format("{} {}", system.sysname, system.release)},
          {"simd", CurrentTarget()},
          {"bf16", workspace.context.has_bf16},
          {"price_per_hour", hardware.price_per_hour}};
}

Json VersionsJson() {
  return {{"qad", QAD_VERSION},
          {"program_sha256", ProgramSha256()},
          {"compiler", fmt::format("gcc {}", __VERSION__)},
          {"sqlite", sqlite3_libversion()},
          {"onednn", fmt::format("{}.{}.{}", DNNL_VERSION_MAJOR, DNNL_VERSION_MINOR, DNNL_VERSION_PATCH)}};
}

// What others published of the same model. Errors (kInput): no list of objects.
Json ReadPublished(const std::filesystem::path& path) {
  Json rows = ReadJsonFile(path);
  if (!rows.is_array() ||
      !std::ranges::all_of(rows, [](const Json& row) { return row.is_object() && row.contains("row"); }))
    FailInput("{}: must be a list of objects that each name their \"row\" (docs/results.md)", path.string());
  return rows;
}

}  // namespace

Json MakeManifest(Workspace& workspace) {
  const Config& config = workspace.config;
  const Plan plan = PlanOf(OpenModel(workspace.model_path), WeightMode::kAsStored);
  Json manifest = {{"date", UtcNow()},
                   {"versions", VersionsJson()},
                   {"machine", MachineJson(workspace)},
                   {"seed", config.seed},
                   {"config", {{"path", config.file.string()}, {"sha256", Sha256File(config.file)}}},
                   {"model",
                    {{"name", config.model},
                     {"path", workspace.model_path.string()},
                     {"sha256", workspace.ModelHash()},
                     {"stored_format", workspace.stored_format},
                     {"parameters", plan.parameters()},
                     {"family", plan.config.family->name},
                     {"four_bit_source", workspace.stored_format.starts_with("q4")}}},
                   {"data",
                    {{"train", Sha256File(config.data.train)},
                     {"eval", Sha256File(config.data.eval)},
                     {"train_items", workspace.train.size()},
                     {"eval_items", workspace.eval.size()}}},
                   {"scope",
                    {{"max_train_samples", workspace.scope.max_train_samples},
                     {"max_eval_samples", workspace.scope.max_eval_samples}}}};
  if (!config.data.zero_shot.empty()) manifest["data"]["zero_shot"] = Sha256File(config.data.zero_shot);
  if (!config.data.dev.empty()) manifest["data"]["dev"] = Sha256File(config.data.dev);
  for (const AdapterConfig& adapter : config.adapters)
    if (adapter.data != config.data.train) manifest["data"]["train of " + adapter.name] = Sha256File(adapter.data);
  if (!workspace.CurrentDocuments().empty()) manifest["data"]["documents"] = IndexStage(workspace).inputs["documents"];
  if (!config.published.empty()) manifest["published"] = ReadPublished(config.published);
  return manifest;
}

Json AdapterSettings(const AdapterConfig& a) {
  return {{"r", a.lora.r},
          {"alpha", a.lora.alpha},
          {"dropout", a.lora.dropout},
          {"target_modules", a.lora.target_modules},
          {"rslora", a.lora.rslora},
          {"layers_to_transform", a.lora.layers_to_transform},
          {"rank_pattern", a.lora.rank_pattern},
          {"alpha_pattern", a.lora.alpha_pattern},
          {"epochs", a.train.epochs},
          {"batch_size", a.train.batch_size},
          {"micro_batch_tokens", a.train.micro_batch_tokens},
          {"learning_rate", a.train.learning_rate},
          {"schedule", static_cast<int>(a.train.schedule)},
          {"warmup_ratio", a.train.warmup_ratio},
          {"weight_decay", a.train.weight_decay},
          {"max_grad_norm", a.train.max_grad_norm},
          {"completion_only", a.train.completion_only},
          {"dev_fraction", a.train.dev_fraction},
          {"keep_best", a.train.keep_best},
          {"validate_every", a.train.validate_every},
          {"patience", a.train.patience},
          {"recompute", a.train.recompute},
          {"exact", a.train.exact},
          {"split", a.train.split}};
}

Json QuantizeSettings(const QuantizeConfig& quantize) {
  return {{"calibration", quantize.calibration.filename().string()},
          {"samples", quantize.samples},
          {"length", quantize.length},
          {"group_size", quantize.group_size},
          {"act_order", quantize.act_order},
          {"error_feedback", quantize.error_feedback}};
}

namespace {

Json EndpointSettings(const ArmConfig& arm) {
  const auto& [options, prompt_price, output_price] = *arm.endpoint;
  Json settings = {{"name", arm.name},
                   {"endpoint", options.url},
                   {"model", options.model},
                   {"prompting", static_cast<int>(arm.prompting)}};
  if (prompt_price) settings["price_per_million_tokens"] = {{"prompt", *prompt_price}, {"output", *output_price}};
  return settings;
}

}  // namespace

Json SettingsJson(const Config& config) {
  Json arms = Json::array(), text_only = Json::array(), adapters = Json::array();
  for (const ArmConfig& arm : config.arms) arms.push_back(arm.endpoint ? EndpointSettings(arm) : Json(arm.name));
  for (const ArmConfig& arm : config.text_only) text_only.push_back(arm.name);
  for (const AdapterConfig& adapter : config.adapters) {
    Json settings = AdapterSettings(adapter);
    settings.update({{"name", adapter.name},
                     {"base", adapter.base},
                     {"after_update", adapter.after_update},
                     {"seed", adapter.seed},
                     {"data", adapter.data.lexically_proximate(config.file.parent_path()).string()}});
    adapters.push_back(std::move(settings));
  }
  return {{"model", config.model},
          {"arms", arms},
          {"adapters", adapters},
          {"few_shot", {{"examples", config.few_shot.examples}, {"select", config.few_shot.select}}},
          {"rag",
           {{"top_k", config.rag.top_k},
            {"retriever", config.rag.retriever},
            {"embedder", config.rag.retriever == "bm25" ? "" : config.rag.embedder},
            {"refuse", config.rag.refuse},
            {"chunk_tokens", config.rag.chunk_tokens}}},
          {"eval",
           {{"max_new_tokens", config.eval.max_new_tokens},
            {"temperature", config.eval.temperature},
            {"text_only", text_only},
            {"repetitions", config.eval.repetitions},
            {"confidence", config.eval.confidence},
            {"bootstrap", config.eval.bootstrap},
            {"margin", config.eval.margin}}},
          {"quantize", QuantizeSettings(config.quantize)},
          {"max_length", config.data.max_length}};
}

}  // namespace qad
