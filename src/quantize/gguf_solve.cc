#include "quantize/gguf_solve.h"

#include <cmath>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "kernels/targets.h"
#include "model/source.h"
#include "model/weights.h"
#include "quantize/artefact.h"
#include "quantize/ggml_grid.h"
#include "quantize/gptq.h"

namespace qad {
namespace {

class Solver {
 public:
  Solver(const ModelFiles& files, const Plan& plan, std::span<const FormatId> formats, const GgufFeedback& feedback,
         Context& context, LayerStore& store)
      : files_(files),
        plan_(plan),
        formats_(formats),
        feedback_(feedback),
        context_(context),
        store_(store),
        walk_(files, plan, feedback.calibration->samples, context) {}

  size_t layers() const { return walk_.layers(); }

  // Behind the last layer.
  void RunOutside() {
    if (feedback_.fisher == nullptr || store_.done() > layers()) return;
    const BlockInput output = walk_.Output();
    solved_.clear();
    for (const TensorSpec& spec : plan_.tensors)
      if (spec.layer < 0 && GgmlGrid::Has(FormatOf(spec))) SolveOutside(spec, output);
    Save(layers(), {});
  }

  // Returns the layer's error; none where it was solved before.
  std::optional<SolveError> Run(size_t layer) {
    walk_.Load(layer);
    if (layer < store_.done()) {
      Replay(layer);
      return std::nullopt;
    }
    solved_.clear();
    SolveError total;
    for (const BlockWalk::Input input : BlockWalk::kInputs) SolveInput(input, total);
    walk_.Finish();
    Save(layer, total);
    return total;
  }

 private:
  struct Solved {
    const TensorSpec* spec;
    std::vector<std::byte> bytes;
    int64_t row_bytes;
  };

  const TensorSpec& Spec(Role role) const { return *plan_.Find(role, static_cast<int>(walk_.layer())); }
  FormatId FormatOf(const TensorSpec& spec) const {
    return formats_[static_cast<size_t>(&spec - plan_.tensors.data())];
  }

  void SolveInput(BlockWalk::Input input, SolveError& total) {
    ThrowIfInterrupted();
    const BlockInput rows = walk_.Compute(input);
    const std::vector<Role> readers = walk_.Readers(input);
    if (std::ranges::none_of(readers, [&](Role role) { return GgmlGrid::Has(FormatOf(Spec(role))); })) return;
    const std::string where = fmt::format("{}: \"{}\"", files_.path.string(), Spec(readers.front()).name);
    const Feedback feedback =
        MakeFeedback(GramOf(rows, context_), rows.width, feedback_.damping, feedback_.act_order, where);
    for (const Role role : readers) {
      const TensorSpec& spec = Spec(role);
      const FormatId format = FormatOf(spec);
      if (!GgmlGrid::Has(format)) continue;
      const std::span<float> weights = walk_.Matrix(role);
      const size_t row_bytes = GetFormat(format).RowBytes(spec.cols);
      Solved& solved = solved_.emplace_back(
          Solved{&spec, std::vector<std::byte>(spec.rows * row_bytes), static_cast<int64_t>(row_bytes)});
      const SolveError error = SolveGgml(weights, spec.rows, feedback, format, solved.bytes);
      total.change += error.change;
      total.size += error.size;
    }
  }

  void SolveOutside(const TensorSpec& spec, const BlockInput& output) {
    constexpr size_t kRowsAtOnce = 4096;
    const Format& codec = GetFormat(FormatOf(spec));
    const size_t row_bytes = codec.RowBytes(spec.cols);
    const Feedback feedback = MakeFeedback(FormOutsideBlocks(plan_, spec, *feedback_.fisher, output, context_).gram,
                                           spec.cols, feedback_.damping, feedback_.act_order,
                                           fmt::format("{}: \"{}\"", files_.path.string(), spec.name));
    Solved& solved = solved_.emplace_back(
        Solved{&spec, std::vector<std::byte>(spec.rows * row_bytes), static_cast<int64_t>(row_bytes)});
    for (size_t first = 0; first < spec.rows; first += kRowsAtOnce) {
      ThrowIfInterrupted();
      std::vector<size_t> rows(std::min(kRowsAtOnce, spec.rows - first));
      std::iota(rows.begin(), rows.end(), first);
      std::vector<float> weights = ReadRows(files_, plan_, spec, rows);
      RequireFinite(weights, files_, spec);
      SolveGgml(weights, rows.size(), feedback, codec.id,
                std::span(solved.bytes).subspan(first * row_bytes, rows.size() * row_bytes));
    }
  }

  void Save(size_t layer, const SolveError& total) {
    std::vector<TensorToWrite> tensors;
    for (const Solved& one : solved_)
      tensors.push_back({one.spec->name, DType::kU8, {static_cast<int64_t>(one.spec->rows), one.row_bytes}, one.bytes});
    store_.Save(layer, std::move(tensors), {{"change", total.change}, {"size", total.size}});
  }

  // The weights that an earlier run came to.
  void Replay(size_t layer) {
    const std::unique_ptr<SafetensorsFile> file = store_.Open(layer);
    for (const auto& [name, entry] : file->tensors()) {
      const auto found = std::ranges::find(plan_.tensors, name, &TensorSpec::name);
      QAD_CHECK(found != plan_.tensors.end());
      const TensorSpec& spec = *found;
      const Format& codec = GetFormat(FormatOf(spec));
      float* values = walk_.Matrix(spec.role).data();
#pragma omp parallel for schedule(static)
      for (int64_t r = 0; r < static_cast<int64_t>(spec.rows); ++r) {
        const auto row = static_cast<size_t>(r);
        codec.decode_row(entry.bytes.data() + row * codec.RowBytes(spec.cols), values + row * spec.cols, spec.cols);
      }
    }
    walk_.Finish();
  }

  const ModelFiles& files_;
  const Plan& plan_;
  std::span<const FormatId> formats_;
  const GgufFeedback& feedback_;
  Context& context_;
  LayerStore& store_;
  BlockWalk walk_;
  std::vector<Solved> solved_;  // of the layer at hand
};

}  // namespace

ErrorForm FormOutsideBlocks(const Plan& plan, const TensorSpec& spec, const Fisher& fisher, const BlockInput& output,
                            Context& context) {
  const bool looked_up = spec.role == Role::kTokenEmbedding, is_head = !looked_up || plan.config.tied_head;
  ErrorForm form;
  form.gram_rows = output.rows;
  form.weights.assign(spec.rows, 1 / static_cast<double>(spec.rows));
  if (is_head) {
    form.gram = GramOf(output, context);
    form.weights = fisher.outputs.at(spec.name);
  } else {
    form.gram.assign(spec.cols * spec.cols, 0.0f);
  }
  if (!looked_up) return form;
  const double sum = std::accumulate(form.weights.begin(), form.weights.end(), 0.0);
  for (size_t i = 0; i < spec.cols && sum > 0; ++i)
    form.gram[i * spec.cols + i] += static_cast<float>(fisher.embedded[i] * static_cast<double>(output.rows) / sum);
  return form;
}

std::vector<float> ReadRows(const ModelFiles& files, const Plan& plan, const TensorSpec& spec,
                            std::span<const size_t> rows) {
  const TensorSource source = FindSource(files, plan.config, spec);
  std::vector<float> values(rows.size() * spec.cols);
#pragma omp parallel for schedule(static)
  for (int64_t i = 0; i < static_cast<int64_t>(rows.size()); ++i)
    source.ReadRow(rows[static_cast<size_t>(i)], values.data() + static_cast<size_t>(i) * spec.cols);
  files.DropPages();
  return values;
}

Json GgufFeedbackKey(const ModelFiles& files, std::span<const FormatId> formats, const GgufFeedback& feedback) {
  Json names = Json::array();
  for (const FormatId format : formats) names.push_back(GetFormat(format).name);
  return {{"made by", "qad quantize"},
          {"program", ProgramSha256()},
          {"target", CurrentTarget()},
          {"source", files.Hash()},
          {"texts", feedback.calibration->Hash()},
          {"damping", feedback.damping},
          {"act_order", feedback.act_order},
          {"outside", feedback.fisher != nullptr},
          {"formats", std::move(names)}};
}

void SolveGguf(const ModelFiles& files, const Plan& plan, std::span<const FormatId> formats,
               const GgufFeedback& feedback, Context& context, LayerStore& store, bool quiet) {
  Solver solver(files, plan, formats, feedback, context, store);
  Progress progress("solve with error feedback", static_cast<double>(solver.layers()), "layers", quiet);
  for (size_t layer = 0; layer < solver.layers(); ++layer) {
    ThrowIfInterrupted();
    const std::optional<SolveError> error = solver.Run(layer);
    progress.Advance(1, error ? fmt::format("layer {}: outputs change by {:.4f}", layer, std::sqrt(error->relative()))
                              : fmt::format("layer {}: done before", layer));
  }
  solver.RunOutside();
}

}  // namespace qad
