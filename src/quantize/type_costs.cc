#include "quantize/type_costs.h"

#include <algorithm>
#include <array>
#include <numeric>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "quantize/block_walk.h"
#include "quantize/fisher.h"
#include "quantize/ggml_grid.h"
#include "quantize/gptq.h"

namespace qad {
namespace {

constexpr std::array kCandidates = {FormatId::kQ2_K, FormatId::kQ3_K, FormatId::kQ4_0, FormatId::kIQ4_NL,
                                    FormatId::kQ4_K, FormatId::kQ4_1, FormatId::kQ5_0, FormatId::kQ5_K,
                                    FormatId::kQ5_1, FormatId::kQ6_K, FormatId::kQ8_0, FormatId::kF16};
constexpr size_t kLeastRows = 64, kRowShare = 8;  // of a matrix's rows those that are solved to measure a type
constexpr size_t kOutsideRows = 1024;             // of embeddings, those that predictions mind most

class CostTable {
 public:
  CostTable(const ModelFiles& files, const Plan& plan, const GgufFeedback& feedback, Context& context,
            LayerStore& store, bool quiet)
      : files_(files),
        plan_(plan),
        feedback_(feedback),
        context_(context),
        store_(store),
        walk_(files, plan, feedback.calibration->samples, context),
        progress_("measure types", static_cast<double>(walk_.layers() + 1), "layers", quiet) {}

  void Measure() {
    for (size_t layer = 0; layer < walk_.layers(); ++layer) {
      ThrowIfInterrupted();
      walk_.Load(layer);
      if (layer >= store_.done()) {
        Json costs = Json::object();
        for (const BlockWalk::Input input : BlockWalk::kInputs) MeasureInput(input, costs);
        store_.Save(layer, {}, costs);
      }
      walk_.Finish();
      progress_.Advance(1);
    }
    if (walk_.layers() >= store_.done()) {
      Json costs = Json::object();
      const BlockInput output = walk_.Output();
      for (const TensorSpec& spec : plan_.tensors)
        if (spec.layer < 0 && HasChoice(spec)) MeasureOutside(spec, output, costs);
      store_.Save(walk_.layers(), {}, costs);
    }
    progress_.Advance(1);
  }

 private:
  Feedback FeedbackOf(std::vector<float> gram, const TensorSpec& spec) const {
    return MakeFeedback(std::move(gram), spec.cols, feedback_.damping, feedback_.act_order,
                        fmt::format("{}: \"{}\"", files_.path.string(), spec.name));
  }

  void MeasureInput(BlockWalk::Input input, Json& costs) {
    ThrowIfInterrupted();
    const BlockInput rows = walk_.Compute(input);
    const std::vector<Role> readers = walk_.Readers(input);
    const auto layer = static_cast<int>(walk_.layer());
    const Feedback feedback = FeedbackOf(GramOf(rows, context_), *plan_.Find(readers.front(), layer));
    for (const Role role : readers) {
      const TensorSpec& spec = *plan_.Find(role, layer);
      const size_t count = std::min(spec.rows, std::max(kLeastRows, spec.rows / kRowShare));
      std::vector<size_t> sampled(count);
      for (size_t i = 0; i < count; ++i) sampled[i] = i * spec.rows / count;
      std::vector<float> values;
      for (const size_t row : sampled) {
        const auto weights = walk_.Matrix(role).subspan(row * spec.cols, spec.cols);
        values.insert(values.end(), weights.begin(), weights.end());
      }
      MeasureRows(spec, sampled, values, feedback_.fisher->outputs.at(spec.name), feedback, rows.rows, costs);
    }
  }

  // Rows of a head are very unlike: those of frequent tokens decide. Of look-ups alone nothing is known of a row.
  void MeasureOutside(const TensorSpec& spec, const BlockInput& output, Json& costs) {
    const ErrorForm form = FormOutsideBlocks(plan_, spec, *feedback_.fisher, output, context_);
    std::vector<size_t> rows(spec.rows);
    std::iota(rows.begin(), rows.end(), size_t{0});
    const size_t count = std::min(rows.size(), kOutsideRows);
    if (std::ranges::adjacent_find(form.weights, std::ranges::not_equal_to()) == form.weights.end())
      for (size_t i = 0; i < count; ++i) rows[i] = i * spec.rows / count;
    else
      std::ranges::stable_sort(rows, std::ranges::greater(), [&](size_t row) { return form.weights[row]; });
    rows.resize(count);
    MeasureRows(spec, rows, ReadRows(files_, plan_, spec, rows), form.weights, FeedbackOf(form.gram, spec),
                form.gram_rows, costs);
  }

  // The whole matrix's cost from that of some rows, as their share of all weights is known.
  void MeasureRows(const TensorSpec& spec, const std::vector<size_t>& rows, const std::vector<float>& values,
                   const std::vector<double>& weights, const Feedback& feedback, size_t gram_rows, Json& costs) const {
    double of_rows = 0;
    for (const size_t row : rows) of_rows += weights[row];
    const double all = std::accumulate(weights.begin(), weights.end(), 0.0);
    for (const FormatId id : CandidateTypes(spec)) {
      const Format& format = GetFormat(id);
      double cost = 0;
      if (GgmlGrid::Has(id) && all > 0) {
        std::vector<float> solved = values;
        std::vector<std::byte> bytes(rows.size() * format.RowBytes(spec.cols));
        std::vector<double> changes(rows.size());
        SolveGgml(solved, rows.size(), feedback, id, bytes, changes);
        // Where no sampled row matters, but others do, all count alike.
        for (size_t i = 0; i < rows.size(); ++i) cost += (of_rows > 0 ? weights[rows[i]] : 1.0) * changes[i];
        cost *= 0.5 * all / (of_rows > 0 ? of_rows : static_cast<double>(rows.size())) / static_cast<double>(gram_rows);
      }
      costs[spec.name][std::string(format.name)] = cost;
    }
  }

  const ModelFiles& files_;
  const Plan& plan_;
  const GgufFeedback& feedback_;
  Context& context_;
  LayerStore& store_;
  BlockWalk walk_;
  Progress progress_;
};

}  // namespace

bool HasChoice(const TensorSpec& spec) {
  return !spec.bias && (IsLinear(spec.role) || spec.role == Role::kTokenEmbedding);
}

std::vector<FormatId> CandidateTypes(const TensorSpec& spec) {
  std::vector<FormatId> formats;
  for (const FormatId format : kCandidates)
    if (GetFormat(format).Divides(spec.cols)) formats.push_back(format);
  return formats;
}

TypeCosts MeasureTypeCosts(const ModelFiles& files, const Plan& plan, const GgufFeedback& feedback, Context& context,
                           LayerStore& store, bool quiet) {
  QAD_CHECK(feedback.calibration != nullptr && feedback.fisher != nullptr);
  const size_t layers = static_cast<size_t>(plan.config.layers) + 1;  // with what is outside of them
  if (store.done() < layers) CostTable(files, plan, feedback, context, store, quiet).Measure();
  TypeCosts all;
  for (size_t layer = 0; layer < layers; ++layer)
    for (const auto& [name, costs] : store.Summary(layer).items())
      for (const auto& [format, cost] : costs.items()) all[name][format] = cost.get<double>();
  return all;
}

}  // namespace qad
