#include "memory/weights_math.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "base/suggest.h"
#include "base/units.h"
#include "model/gguf_types.h"

namespace qad {
namespace {

constexpr std::array kSchemes = {
    WeightScheme{"fp16", FormatId::kF16, FormatId::kF16},   WeightScheme{"int8", FormatId::kInt8, FormatId::kF16},
    WeightScheme{"int4", FormatId::kQ4_1, FormatId::kF16},  WeightScheme{"f32", FormatId::kF32, FormatId::kF32},
    WeightScheme{"bf16", FormatId::kBF16, FormatId::kBF16}, WeightScheme{"f16", FormatId::kF16, FormatId::kF16},
    WeightScheme{"q8_0", FormatId::kQ8_0, FormatId::kF16},  WeightScheme{"q5_1", FormatId::kQ5_1, FormatId::kF16},
    WeightScheme{"q5_0", FormatId::kQ5_0, FormatId::kF16},  WeightScheme{"q4_1", FormatId::kQ4_1, FormatId::kF16},
    WeightScheme{"q4_0", FormatId::kQ4_0, FormatId::kF16},  WeightScheme{"q6_k", FormatId::kQ6_K, FormatId::kF16},
    WeightScheme{"q5_k", FormatId::kQ5_K, FormatId::kF16},  WeightScheme{"q4_k", FormatId::kQ4_K, FormatId::kF16},
    WeightScheme{"q3_k", FormatId::kQ3_K, FormatId::kF16},  WeightScheme{"q2_k", FormatId::kQ2_K, FormatId::kF16},
};

enum Component : size_t { kEmbedding, kAttention, kMlp, kNorms, kHead, kComponents };
constexpr std::array<std::string_view, kComponents> kComponentNames = {"embedding", "attention", "mlp", "norms",
                                                                       "head"};

Component ComponentOf(Role role) {
  switch (role) {
    case Role::kTokenEmbedding:
    case Role::kPositionEmbedding:
    case Role::kTypeEmbedding:
      return kEmbedding;
    case Role::kQ:
    case Role::kK:
    case Role::kV:
    case Role::kQkv:
    case Role::kO:
      return kAttention;
    case Role::kGate:
    case Role::kUp:
    case Role::kGateUp:
    case Role::kDown:
      return kMlp;
    case Role::kHead:
      return kHead;
    case Role::kAttentionNorm:
    case Role::kMlpNorm:
    case Role::kQNorm:
    case Role::kKNorm:
    case Role::kPostAttentionNorm:
    case Role::kPostMlpNorm:
    case Role::kFinalNorm:
    case Role::kEmbeddingNorm:
      return kNorms;
  }
  return kNorms;
}

void AddTerm(std::string& sum, const std::string& term) {
  if (!sum.empty()) sum += " + ";
  sum += term;
}

// "576·576 + 2·576·192 + 576": the shapes of some tensors, equal ones counted together.
std::string Shapes(const std::vector<const TensorSpec*>& tensors) {
  std::vector<std::pair<std::string, int>> shapes;
  for (const TensorSpec* spec : tensors) {
    const std::string shape =
        spec->rows == 1 ? Grouped(spec->cols) : fmt::format("{}·{}", Grouped(spec->rows), Grouped(spec->cols));
    const auto same = std::ranges::find(shapes, shape, &std::pair<std::string, int>::first);
    if (same == shapes.end())
      shapes.emplace_back(shape, 1);
    else
      ++same->second;
  }
  std::string text;
  for (const auto& [shape, count] : shapes) AddTerm(text, count > 1 ? fmt::format("{}·{}", count, shape) : shape);
  return text;
}

// The values of some tensors of one format: "30 × (576·576 + 192·576) + 576".
std::string Values(const std::vector<const TensorSpec*>& tensors, size_t layers) {
  std::vector<const TensorSpec*> first, outside;
  size_t in_layers = 0;
  for (const TensorSpec* spec : tensors) {
    if (spec->layer == 0) first.push_back(spec);
    if (spec->layer < 0) outside.push_back(spec);
    if (spec->layer >= 0) ++in_layers;
  }
  if (in_layers != first.size() * layers) {  // layers differ: only the count is of use
    size_t values = 0;
    for (const TensorSpec* spec : tensors) values += spec->elements();
    return Grouped(values);
  }
  std::string text;
  if (!first.empty()) text = fmt::format("{} × ({})", layers, Shapes(first));
  if (!outside.empty()) AddTerm(text, Shapes(outside));
  return text;
}

bool IsSum(const std::string& text) { return text.find(" + ") != std::string::npos; }

// "30 × (…) × 20/32 B + 1,152 rows × 4 B" for all formats among the tensors.
std::string Formula(const std::vector<const TensorSpec*>& tensors, size_t layers, bool shapes) {
  std::map<FormatId, std::vector<const TensorSpec*>> by_format;
  for (const TensorSpec* spec : tensors) by_format[spec->stored].push_back(spec);
  std::string text;
  for (const auto& [id, members] : by_format) {
    const Format& format = GetFormat(id);
    size_t values = 0, rows = 0;
    for (const TensorSpec* spec : members) {
      values += spec->elements();
      rows += spec->rows;
    }
    std::string count = shapes ? Values(members, layers) : Grouped(values);
    if (IsSum(count) && (!count.ends_with(')') || count.find(") +") != std::string::npos))
      count = fmt::format("({})", count);
    AddTerm(text, fmt::format("{} × {}", count, BytesPerValue(format)));
    if (format.row_extra_bytes > 0) text += fmt::format(" + {} rows × {} B", Grouped(rows), format.row_extra_bytes);
  }
  return text;
}

using ByComponent = std::array<std::vector<const TensorSpec*>, kComponents>;

ByComponent Split(const Plan& plan) {
  ByComponent components;
  for (const TensorSpec& spec : plan.tensors) components[ComponentOf(spec.role)].push_back(&spec);
  return components;
}

constexpr const char* kTied = "tied: the head is the embedding";

}  // namespace

const WeightScheme* FindScheme(std::string_view name) {
  const auto found = std::ranges::find(kSchemes, name, &WeightScheme::name);
  return found == kSchemes.end() ? nullptr : &*found;
}

Plan PlanInScheme(const ModelConfig& config, const WeightScheme& scheme, WeightMode mode) {
  return MakePlan(config, mode, [&](const TensorSpec& spec) -> std::optional<FormatId> {
    const bool linear = IsBlockMatrix(spec);
    return linear && GetFormat(scheme.linears).Divides(spec.cols) ? scheme.linears : scheme.rest;
  });
}

namespace {

std::vector<std::string> AllFormatNames() {
  std::vector<std::string> names;
  for (const WeightScheme& scheme : kSchemes) names.emplace_back(scheme.name);
  for (const GgufFileType& type : GgufFileTypes()) names.emplace_back(type.name);
  return names;
}

}  // namespace

std::string FormatNames() {
  std::string text;
  for (const std::string& name : AllFormatNames()) text += (text.empty() ? "" : ", ") + name;
  return text;
}

Plan PlanInFormat(const ModelConfig& config, std::string_view name, bool importance) {
  if (const WeightScheme* scheme = FindScheme(name); scheme != nullptr) return PlanInScheme(config, *scheme);
  constexpr std::string_view kGguf = "gguf:";
  const GgufFileType* type = FindGgufFileType(name.starts_with(kGguf) ? name.substr(kGguf.size()) : name);
  if (type == nullptr)
    Fail(ErrorKind::kUsage, "'{}' is no format of weights{}; known: {}", name,
         Suggestion(std::string(name), AllFormatNames()), FormatNames());
  const Plan dense = PlanInScheme(config, *FindScheme("f32"));
  const std::vector<FormatId> formats = AssignFormats(*type, dense, importance);
  size_t next = 0;
  return MakePlan(config, WeightMode::kAsStored,
                  [&](const TensorSpec&) -> std::optional<StoredAs> { return formats[next++]; });
}

WeightsMath StoredWeights(const Plan& plan, const std::string& format, bool stored) {
  WeightsMath math{.format = format, .stored = stored, .formula = "", .parts = {}, .bytes = 0};
  const ByComponent components = Split(plan);
  for (size_t c = 0; c < kComponents; ++c) {
    MemoryPart part{.name = std::string(kComponentNames[c]),
                    .formula = Formula(components[c], plan.config.layers, true),
                    .bytes = 0};
    if (components[c].empty()) part.formula = kTied;
    for (const TensorSpec* spec : components[c]) part.bytes += spec->stored_bytes();
    math.bytes += part.bytes;
    math.parts.push_back(std::move(part));
  }
  std::vector<const TensorSpec*> all;
  for (const TensorSpec& spec : plan.tensors) all.push_back(&spec);
  math.formula = Formula(all, plan.config.layers, false);
  return math;
}

WeightsMath ResidentWeights(const Plan& plan, const std::string& format) {
  struct Group {
    Component component;
    uint64_t codes = 0, scales = 0;
  };
  std::map<std::pair<int, Layout>, Group> groups;  // as Plan::weight_bytes and Weights lay them
  for (const TensorSpec& spec : plan.tensors) {
    Group& group = groups.try_emplace({spec.group, spec.layout}, Group{ComponentOf(spec.role)}).first->second;
    QAD_CHECK(group.component == ComponentOf(spec.role));
    group.codes += spec.code_bytes();
    group.scales += spec.scale_bytes();
  }
  struct Sum {
    uint64_t codes = 0, scales = 0, padding = 0;
  };
  std::array<Sum, kComponents> sums{};
  for (const auto& [key, group] : groups) {
    Sum& sum = sums[group.component];
    sum.codes += group.codes;
    sum.scales += group.scales;
    sum.padding += AlignUp(group.codes) + AlignUp(group.scales) - group.codes - group.scales;
  }
  WeightsMath math{.format = format, .stored = false, .formula = "", .parts = {}, .bytes = 0};
  Sum total;
  const auto text = [](const Sum& sum) {
    return fmt::format("codes {} B + scales {} B + padding {} B", Grouped(sum.codes), Grouped(sum.scales),
                       Grouped(sum.padding));
  };
  for (size_t c = 0; c < kComponents; ++c) {
    const uint64_t bytes = sums[c].codes + sums[c].scales + sums[c].padding;
    math.parts.push_back({std::string(kComponentNames[c]), bytes == 0 ? kTied : text(sums[c]), bytes});
    math.bytes += bytes;
    total.codes += sums[c].codes;
    total.scales += sums[c].scales;
    total.padding += sums[c].padding;
  }
  math.formula = text(total);
  return math;
}

std::string MainFormat(const Plan& plan) {
  std::map<FormatId, uint64_t> bytes;
  for (const TensorSpec& spec : plan.tensors)
    if (IsBlockMatrix(spec)) bytes[spec.stored] += spec.stored_bytes();
  const auto most = std::ranges::max_element(bytes, {}, [](const auto& entry) { return entry.second; });
  return most == bytes.end() ? "" : std::string(GetFormat(most->first).name);
}

std::string BytesPerValue(const Format& format) {
  return format.block == 1 ? fmt::format("{} B", format.block_bytes)
                           : fmt::format("{}/{} B", format.block_bytes, format.block);
}

std::string Grouped(uint64_t number) { return FormatCount(static_cast<double>(number)); }

}  // namespace qad
