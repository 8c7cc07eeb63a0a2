#include "results/memory_math.h"

#include <algorithm>

#include "base/capped.h"
#include "base/error.h"
#include "base/files.h"
#include "results/json_fields.h"

namespace qad {

template <typename Visitor>
void Fields(Visitor& visit, MemoryPart& part) {
  visit("name", part.name);
  visit("formula", part.formula);
  visit("bytes", part.bytes);
}

template <typename Visitor>
void Fields(Visitor& visit, WeightsMath& weights) {
  visit("format", weights.format);
  visit("stored", weights.stored);
  visit("formula", weights.formula);
  visit("parts", weights.parts);
  visit("bytes", weights.bytes);
}

template <typename Visitor>
void Fields(Visitor& visit, KvPoint& point) {
  visit("type", point.type);
  visit("context", point.context);
  visit("batch", point.batch);
  visit("bytes", point.bytes);
}

template <typename Visitor>
void Fields(Visitor& visit, KvAllotment& allotment) {
  visit("way", allotment.way);
  visit("formula", allotment.formula);
  visit("bytes", allotment.bytes);
}

template <typename Visitor>
void Fields(Visitor& visit, KvMath& kv) {
  visit("layers", kv.layers);
  visit("heads", kv.heads);
  visit("kv_heads", kv.kv_heads);
  visit("head_dim", kv.head_dim);
  visit("formula", kv.formula);
  visit("type", kv.type);
  visit("bytes_per_token", kv.bytes_per_token);
  visit("bytes_per_token_without_gqa", kv.bytes_per_token_without_gqa);
  visit("window", kv.window);
  visit("windowed_layers", kv.windowed_layers);
  visit("points", kv.points);
  visit("allotted_context", kv.allotted_context);
  visit("allotted_batch", kv.allotted_batch);
  visit("allotted_tokens", kv.allotted_tokens);
  visit("allotted_prefix", kv.allotted_prefix);
  visit("allotments", kv.allotments);
}

template <typename Visitor>
void Fields(Visitor& visit, TrainingMath& training) {
  visit("method", training.method);
  visit("assumptions", training.assumptions);
  visit("parts", training.parts);
  visit("bytes", training.bytes);
}

template <typename Visitor>
void Fields(Visitor& visit, TrainingPoint& point) {
  visit("method", point.method);
  visit("sequence", point.sequence);
  visit("batch", point.batch);
  visit("rank", point.rank);
  visit("recompute", point.recompute);
  visit("bytes", point.bytes);
}

template <typename Visitor>
void Fields(Visitor& visit, TrainingFit& fit) {
  visit("method", fit.method);
  visit("rank", fit.rank);
  visit("recompute", fit.recompute);
  visit("max_tokens", fit.max_tokens);
}

template <typename Visitor>
void Fields(Visitor& visit, FitAnswer& fit) {
  visit("budget", fit.budget);
  visit("weights", fit.weights);
  visit("kv_type", fit.kv_type);
  visit("batch", fit.batch);
  visit("max_context", fit.max_context);
  visit("limited_by_model", fit.limited_by_model);
  visit("max_batch", fit.max_batch);
}

template <typename Visitor>
void Fields(Visitor& visit, PredictedMeasured& check) {
  visit("what", check.what);
  visit("predicted", check.predicted);
  visit("measured", check.measured);
  visit("allowed", check.allowed);
}

template <typename Visitor>
void Fields(Visitor& visit, MachineFit& fit) {
  visit("machine", fit.machine);
  visit("source", fit.source);
  visit("verdict", fit.verdict);
  visit("memory", fit.memory);
  visit("weights", fit.weights);
  visit("kv_type", fit.kv_type);
  visit("max_context", fit.max_context);
  visit("limited_by_model", fit.limited_by_model);
  visit("max_batch", fit.max_batch);
  visit("decode_ceiling", fit.decode_ceiling);
  visit("prefill_ceiling", fit.prefill_ceiling);
  visit("price_per_hour", fit.price_per_hour);
  visit("decode_price", fit.decode_price);
  visit("prefill_price", fit.prefill_price);
}

template <typename Visitor>
void Fields(Visitor& visit, MemoryMath& math) {
  visit("title", math.title);
  visit("hardware", math.hardware);
  visit("parameters", math.parameters);
  visit("budget", math.budget);
  visit("engine", math.engine);
  visit("max_positions", math.max_positions);
  visit("fits", math.fits);
  visit("weights", math.weights);
  visit("kv", math.kv);
  visit("cache_outgrows_weights", math.cache_outgrows_weights);
  visit("workspace_bytes", math.workspace_bytes);
  visit("machines", math.machines);
  visit("case_context", math.case_context);
  visit("case_batch", math.case_batch);
  visit("training", math.training);
  visit("training_points", math.training_points);
  visit("training_fits", math.training_fits);
  visit("checks", math.checks);
  visit("notes", math.notes);
}

namespace {

uint64_t Allowed(uint64_t measured, double share, uint64_t bytes) {
  return static_cast<uint64_t>(share * static_cast<double>(measured)) + bytes;
}

}  // namespace

uint64_t AllowedInInference(uint64_t measured) { return Allowed(measured, 0.03, 15 << 20); }
uint64_t AllowedInTraining(uint64_t measured) { return Allowed(measured, 0.05, 30 << 20); }

uint64_t SumOf(const std::vector<MemoryPart>& parts) {
  uint64_t sum = 0;
  for (const MemoryPart& part : parts) sum = CappedSum({sum, part.bytes});
  return sum;
}

void TrainingMath::Add(std::string name, std::string part_formula, uint64_t part_bytes) {
  parts.push_back({std::move(name), std::move(part_formula), part_bytes});
  bytes = CappedSum({bytes, part_bytes});
}

std::string SettingName(const std::string& method, bool recompute) {
  return method + (recompute ? ", computed again" : "");
}

bool MemoryMath::has_room(uint64_t bytes) const { return CappedSum({SumOf(engine), bytes}) <= budget; }

uint64_t KvMath::bytes_at(int64_t context) const {
  if (layers == 0) return 0;
  const uint64_t of_layer = bytes_per_token / static_cast<uint64_t>(layers);
  const auto kept =
      static_cast<uint64_t>((layers - windowed_layers) * context + windowed_layers * std::min(context, window));
  return of_layer * kept;
}

Json MemoryMathToJson(const MemoryMath& math) {
  MemoryMath copy = math;
  return FieldWriter::Value(copy);
}

MemoryMath MemoryMathFromJson(const Json& json, const std::string& where) {
  MemoryMath math;
  FieldReader::Read(json, where, math);
  return math;
}

MemoryMath ReadMemoryMath(const std::filesystem::path& path) {
  const Json json = ReadJsonFile(path);
  try {
    return MemoryMathFromJson(json, path.string());
  } catch (const Error& error) {
    FailInput("{}; it may be of another version: `qad run` makes it again", error.what());
  }
}

void WriteMemoryMath(const std::filesystem::path& path, const MemoryMath& math) {
  WriteFileAtomic(path, DumpJson(MemoryMathToJson(math)));
}

}  // namespace qad
