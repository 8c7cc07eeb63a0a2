#include "quantize/statistics.h"

#include <fmt/format.h>

#include <cstring>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "kernels/targets.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

// Of the embedded inputs, beside names of tensors.
constexpr const char* kEmbedded = "embedded inputs";

TensorToWrite Doubles(const std::string& name, const std::vector<double>& values) {
  return {name, DType::kF64, {static_cast<int64_t>(values.size())}, std::as_bytes(std::span(values))};
}

void WriteFisher(const fs::path& path, const Fisher& fisher) {
  std::vector<TensorToWrite> tensors{Doubles(kEmbedded, fisher.embedded)};
  for (const auto& [name, values] : fisher.outputs) tensors.push_back(Doubles(name, values));
  WriteSafetensors(path, std::move(tensors), {{"tokens", std::to_string(fisher.tokens)}});
}

Fisher ReadFisher(const fs::path& path) {
  const SafetensorsFile file(path);
  Fisher fisher;
  for (const auto& [name, entry] : file.tensors()) {
    std::vector<double>& values = name == kEmbedded ? fisher.embedded : fisher.outputs[name];
    if (entry.dtype != DType::kF64) FailInput("{}: \"{}\" is not in F64", path.string(), name);
    values.resize(entry.bytes.size() / sizeof(double));
    std::memcpy(values.data(), entry.bytes.data(), entry.bytes.size());
  }
  fisher.tokens = std::stoull(file.metadata().at("tokens"));
  return fisher;
}

// What `read` finds at `path`, else what `measure` finds, as it is then read: so that it is the same ever after. Where
// it cannot be written, as on a full disk, it is not kept.
template <typename Read, typename Measure, typename Write>
auto KeptOr(const fs::path& path, const Read& read, const Measure& measure, const Write& write) {
  if (fs::exists(path)) {
    try {
      return read(path);
    } catch (const std::exception&) {  // damaged: measured again
    }
  }
  auto measured = measure();
  try {
    write(path, measured);
  } catch (const Error& error) {
    fmt::print(stderr, "! not kept for another time: {}\n", error.what());
    return measured;
  }
  return read(path);
}

}  // namespace

Statistics::Statistics(fs::path folder, const ModelFiles& files, const Calibration& calibration)
    : folder_(std::move(folder)), files_(files), calibration_(calibration) {
  common_ = {{"program", ProgramSha256()},
             {"target", CurrentTarget()},
             {"source", files_.Hash()},
             {"texts", calibration_.Hash()}};
  files_.DropPages();  // hashing reads all of them
  try {
    if (!folder_.empty()) RequireWritable(folder_);
  } catch (const Error&) {
    folder_.clear();
  }
}

Json Statistics::Key(std::string_view name, const Json& settings) const {
  Json key = common_;
  key["made by"] = fmt::format("qad {}", name);
  key["settings"] = settings;
  return key;
}

fs::path Statistics::PathOf(const Json& key) const {
  QAD_CHECK(kept());
  return folder_ / Sha256(DumpJson(key));
}

Importance Statistics::GetImportance(Context& context, bool quiet) const {
  const auto measure = [&] { return MeasureImportance(files_, calibration_.samples, context, quiet); };
  if (!kept()) return measure();
  fs::path path = PathOf(Key("importance", {{"fast", context.numerics == Numerics::kFast}}));
  path += ".imatrix.gguf";
  return KeptOr(path, ReadImportance, measure, [&](const fs::path& to, const Importance& importance) {
    WriteImportance(to, importance, calibration_.tokens(), calibration_.longest(), calibration_.source);
  });
}

Fisher Statistics::GetFisher(size_t tokens, Context& context, bool quiet) const {
  const auto measure = [&] { return MeasureFisher(files_, calibration_.samples, tokens, context, quiet); };
  if (!kept()) return measure();
  fs::path path = PathOf(Key("sensitivities", {{"fast", context.numerics == Numerics::kFast}, {"tokens", tokens}}));
  path += ".safetensors";
  return KeptOr(path, ReadFisher, measure, WriteFisher);
}

}  // namespace qad
