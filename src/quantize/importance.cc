#include "quantize/importance.h"

#include <cmath>
#include <cstring>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "io/bytes.h"
#include "io/gguf_writer.h"
#include "model/weights.h"
#include "quantize/hessian.h"

namespace qad {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";

std::vector<float> Means(std::span<const std::byte> sums, double count, const std::string& what) {
  if (!(count > 0)) FailInput("{}: averages over {} rows", what, count);
  std::vector<float> means(sums.size() / sizeof(float));
  for (size_t i = 0; i < means.size(); ++i) {
    float value;
    std::memcpy(&value, sums.data() + i * sizeof(float), sizeof(value));
    if (!std::isfinite(value) || value < 0) FailInput("{}: value {} is {}", what, i, value);
    means[i] = static_cast<float>(static_cast<double>(value) / count);
  }
  return means;
}

Importance ReadGguf(const std::filesystem::path& path) {
  const GgufFile file(path);
  Importance importance;
  for (const GgufTensor& tensor : file.tensors()) {
    if (!std::string_view(tensor.name).ends_with(kSums)) continue;
    const std::string name = tensor.name.substr(0, tensor.name.size() - kSums.size());
    const std::string what = fmt::format("{}: \"{}\"", path.string(), name);
    const GgufTensor* counts = file.Find(name + std::string(kCounts));
    if (tensor.type != 0 || counts == nullptr || counts->type != 0)
      FailInput("{}: wants \"{}{}\" and \"{}{}\" in F32", what, name, kSums, name, kCounts);
    if (counts->bytes.size() != sizeof(float))
      FailInput("{}: has one matrix for each expert, which this version does not read", what);
    float count;
    std::memcpy(&count, counts->bytes.data(), sizeof(count));
    importance[name] = Means(tensor.bytes, static_cast<double>(count), what);
  }
  if (importance.empty()) FailInput("{}: is a GGUF file without importance matrices", path.string());
  return importance;
}

Importance ReadOld(const std::filesystem::path& path) {
  const MappedFile file(path);
  ByteReader in(file.bytes(), path.string());
  const auto entries = in.Read<int32_t>("the number of matrices");
  if (entries <= 0 || static_cast<uint64_t>(entries) > in.remaining() / 12)
    FailInput("{}: offset 0: {} matrices; is this an importance matrix?", path.string(), entries);
  Importance importance;
  for (int32_t i = 0; i < entries; ++i) {
    const auto length = in.Read<int32_t>("a name's length");
    if (length <= 0) FailInput("{}: offset {}: a name of {} bytes", path.string(), in.offset(), length);
    const auto text = in.Take(static_cast<uint64_t>(length), "a name");
    const std::string name(reinterpret_cast<const char*>(text.data()), text.size());
    const auto calls = in.Read<int32_t>("a matrix's calls"), count = in.Read<int32_t>("a matrix's width");
    if (count <= 0) FailInput("{}: offset {}: \"{}\" has {} values", path.string(), in.offset(), name, count);
    const auto sums = in.Take(static_cast<uint64_t>(count) * sizeof(float), "a matrix");
    importance[name] = Means(sums, calls, fmt::format("{}: \"{}\"", path.string(), name));
  }
  return importance;
}

}  // namespace

Importance MeasureImportance(const ModelFiles& files, std::span<const std::vector<TokenId>> samples, Context& context,
                             bool quiet) {
  const Plan plan = PlanOf(files, WeightMode::kF32);
  RequireRunnable(plan.config, files.path.string());
  BlockWalk walk(files, plan, samples, context);
  Progress progress("measure importance", static_cast<double>(walk.layers()), "layers", quiet);
  Importance importance;
  for (size_t layer = 0; layer < walk.layers(); ++layer) {
    ThrowIfInterrupted();
    walk.Load(layer);
    for (const BlockWalk::Input input : BlockWalk::kInputs) {
      const BlockInput rows = walk.Compute(input);
      const std::vector<double> sums = SumsOfSquares(rows);
      const TensorSpec& reader = *plan.Find(walk.Readers(input).front(), static_cast<int>(layer));
      RequireFiniteInputs(sums, fmt::format("{}: \"{}\"", files.path.string(), reader.name));
      std::vector<float> means;
      for (const double sum : sums) means.push_back(static_cast<float>(sum / static_cast<double>(rows.rows)));
      for (const Role role : walk.Readers(input))
        importance[plan.Find(role, static_cast<int>(layer))->gguf_name] = means;
    }
    walk.Finish();
    progress.Advance(1);
  }
  return importance;
}

Importance ReadImportance(const std::filesystem::path& path) {
  const MappedFile file(path);
  const bool gguf = file.bytes().size() >= 4 && std::memcmp(file.bytes().data(), "GGUF", 4) == 0;
  return gguf ? ReadGguf(path) : ReadOld(path);
}

void WriteImportance(const std::filesystem::path& path, const Importance& importance, size_t rows, size_t chunk,
                     const std::string& dataset) {
  GgufMetadata metadata;
  metadata.SetString("general.type", "imatrix");
  metadata.SetStrings("imatrix.datasets", std::vector{dataset});
  metadata.SetU32("imatrix.chunk_count", static_cast<uint32_t>((rows + chunk - 1) / chunk));
  metadata.SetU32("imatrix.chunk_size", static_cast<uint32_t>(chunk));
  std::vector<GgufTensorToWrite> tensors;
  std::vector<float> sums;
  const auto count = static_cast<float>(rows);
  for (const auto& [name, means] : importance) {
    tensors.push_back({name + std::string(kSums), FormatId::kF32, {1, static_cast<int64_t>(means.size())}, [&] {
                         sums.clear();
                         for (const float mean : means) sums.push_back(mean * count);
                         return std::as_bytes(std::span(sums));
                       }});
    tensors.push_back(
        {name + std::string(kCounts), FormatId::kF32, {1, 1}, [&] { return std::as_bytes(std::span(&count, 1)); }});
  }
  WriteGguf(path, metadata, tensors);
}

}  // namespace qad
