#include "adapt/gguf_adapter.h"

#include <algorithm>
#include <cmath>
#include <deque>
#include <map>

#include "base/error.h"
#include "io/gguf.h"
#include "io/gguf_writer.h"
#include "model/source.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr const char *kTypeKey = "general.type", *kKindKey = "adapter.type", *kAlphaKey = "adapter.lora.alpha";
constexpr const char* kBaseKey = "general.base_model.0.name";
constexpr std::string_view kA = ".lora_a", kB = ".lora_b", kWeight = ".weight";

const TensorSpec* FindModule(const Plan& plan, const std::string& module) {
  const auto found = std::ranges::find(plan.tensors, module + std::string(kWeight), &TensorSpec::name);
  return found == plan.tensors.end() ? nullptr : &*found;
}

// Rows of B (out, r) to where the file has them, or back.
std::vector<float> Interleaved(const std::vector<float>& b, size_t rank, size_t head_dim, bool back) {
  std::vector<float> out(b.size());
  for (size_t row = 0; row < b.size() / rank; ++row) {
    const size_t stored = InterleavedRow(row, head_dim), from = back ? stored : row, to = back ? row : stored;
    std::copy_n(b.begin() + static_cast<std::ptrdiff_t>(from * rank), rank,
                out.begin() + static_cast<std::ptrdiff_t>(to * rank));
  }
  return out;
}

// The matrices of one tensor as they are found in a file.
struct Pair {
  std::vector<float> a, b;
  std::vector<int64_t> a_shape, b_shape;
};

std::vector<float> Decode(const GgufTensor& tensor, const std::string& where) {
  if (tensor.format == nullptr || tensor.shape.size() != 2)
    FailInput("{}: tensor \"{}\" must be a matrix of a type that can be decoded", where, tensor.name);
  const auto rows = static_cast<size_t>(tensor.shape[0]), cols = static_cast<size_t>(tensor.shape[1]);
  const size_t row_bytes = tensor.format->RowBytes(cols);
  std::vector<float> values(rows * cols);
  for (size_t row = 0; row < rows; ++row)
    tensor.format->decode_row(tensor.bytes.data() + row * row_bytes, values.data() + row * cols, cols);
  if (!std::ranges::all_of(values, [](float v) { return std::isfinite(v); }))
    FailInput("{}: tensor \"{}\" holds NaN or infinity", where, tensor.name);
  return values;
}

std::map<std::string, Pair> ReadPairs(const GgufFile& file) {
  const std::string where = file.path().string();
  std::map<std::string, Pair> pairs;
  for (const GgufTensor& tensor : file.tensors()) {
    const bool is_a = tensor.name.ends_with(kA);
    if (!is_a && !tensor.name.ends_with(kB))
      FailInput("{}: tensor \"{}\" is none of a LoRA adapter's", where, tensor.name);
    Pair& pair = pairs[tensor.name.substr(0, tensor.name.size() - kA.size())];
    (is_a ? pair.a : pair.b) = Decode(tensor, where);
    (is_a ? pair.a_shape : pair.b_shape) = tensor.shape;
  }
  for (const auto& [name, pair] : pairs) {
    if (pair.a.empty() || pair.b.empty()) FailInput("{}: \"{}\" has only one of lora_a and lora_b", where, name);
    if (pair.a_shape[0] != pair.b_shape[1])
      FailInput("{}: lora_a and lora_b of \"{}\" have ranks {} and {}", where, name, pair.a_shape[0], pair.b_shape[1]);
  }
  if (pairs.empty()) FailInput("{}: the adapter is empty", where);
  return pairs;
}

void RequireAdapterOf(const GgufFile& file, const Plan& base) {
  const std::string where = file.path().string();
  const std::string kind = file.StringOr(kTypeKey, "model");
  if (kind != "adapter" || file.StringOr(kKindKey, "") != "lora")
    FailInput("{}: is no LoRA adapter: {} is \"{}\", {} is \"{}\"", where, kTypeKey, kind, kKindKey,
              file.StringOr(kKindKey, ""));
  const std::string architecture = file.StringOr("general.architecture", "");
  if (architecture != base.config.family->gguf_architecture)
    FailInput(
        "{}: adapts a model of architecture \"{}\", and this one is \"{}\"; load it onto the base it was trained on",
        where, architecture, base.config.family->gguf_architecture);
}

}  // namespace

bool IsGgufAdapter(const fs::path& path) { return path.extension() == ".gguf"; }

void WriteGgufAdapter(const fs::path& path, const LoraAdapter& adapter, const Plan& base,
                      const std::string& base_name) {
  GgufMetadata metadata;
  metadata.SetString("general.architecture", base.config.family->gguf_architecture);
  metadata.SetString(kTypeKey, "adapter");
  metadata.SetString("general.name", base_name + " LoRA");
  metadata.SetU32("general.base_model.count", 1);
  metadata.SetString(kBaseKey, base_name);
  metadata.SetString(kKindKey, "lora");
  // 0 would be read as no scale at all.
  const double alpha = adapter.config().lora_alpha > 0 ? adapter.config().lora_alpha : 1;
  metadata.SetF32(kAlphaKey, static_cast<float>(alpha));
  std::deque<std::vector<float>> matrices;
  std::vector<GgufTensorToWrite> tensors;
  const auto add = [&](const std::string& name, size_t rows, size_t cols, std::vector<float> values) {
    const std::vector<float>& kept = matrices.emplace_back(std::move(values));
    tensors.push_back({name, FormatId::kF32, {static_cast<int64_t>(rows), static_cast<int64_t>(cols)}, [&kept] {
                         return std::as_bytes(std::span(kept));
                       }});
  };
  for (const LoraAdapter::Module& module : adapter.modules()) {
    const TensorSpec* spec = FindModule(base, module.site.module);
    QAD_CHECK(spec != nullptr);
    const float* values = adapter.values().data();
    const size_t in = module.site.in, out = module.site.out, rank = module.rank;
    std::vector<float> b(values + module.b, values + module.b + out * rank);
    const float left = module.scale / static_cast<float>(alpha / static_cast<double>(rank));  // mostly 1
    for (float& value : b) value *= left;
    if (IsInterleavedInGguf(base.config, spec->role)) b = Interleaved(b, rank, base.config.head_dim, false);
    add(spec->gguf_name + std::string(kA), rank, in, {values + module.a, values + module.a + rank * in});
    add(spec->gguf_name + std::string(kB), out, rank, std::move(b));
  }
  WriteGguf(path, metadata, tensors);
}

PeftAdapter ReadGgufAdapter(const fs::path& path, const Plan& base) {
  const GgufFile file(path);
  RequireAdapterOf(file, base);
  PeftAdapter adapter;
  adapter.config.base_model = file.StringOr(kBaseKey, "");
  const double alpha = file.NumberOr(kAlphaKey, 0);  // 0, or none: B A as it is
  for (auto& [name, pair] : ReadPairs(file)) {
    const auto spec = std::ranges::find(base.tensors, name, &TensorSpec::gguf_name);
    if (spec == base.tensors.end() || !IsBlockMatrix(*spec))
      FailInput("{}: adapts \"{}\", which is no linear layer of this model; load it onto the base it was trained on",
                path.string(), name);
    PeftModule module;
    module.module = spec->name.substr(0, spec->name.size() - kWeight.size());
    module.r = static_cast<size_t>(pair.a_shape[0]);
    module.in = static_cast<size_t>(pair.a_shape[1]);
    module.out = static_cast<size_t>(pair.b_shape[0]);
    if (IsInterleavedInGguf(base.config, spec->role) && module.out % base.config.head_dim == 0)
      pair.b = Interleaved(pair.b, module.r, base.config.head_dim, true);
    module.a = std::move(pair.a);
    module.b = std::move(pair.b);
    adapter.modules.push_back(std::move(module));
  }
  adapter.config.r = static_cast<int>(adapter.modules.front().r);
  adapter.config.lora_alpha = alpha > 0 ? alpha : adapter.config.r;
  for (const PeftModule& module : adapter.modules) {
    if (module.r != static_cast<size_t>(adapter.config.r))
      adapter.config.rank_pattern[module.module] = static_cast<double>(module.r);
    if (!(alpha > 0) && module.r != static_cast<size_t>(adapter.config.r))
      adapter.config.alpha_pattern[module.module] = static_cast<double>(module.r);
  }
  return adapter;
}

}  // namespace qad
