#include "quantize/gguf_solve.h"

#include <cmath>

#include "base/error.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "kernels/targets.h"
#include "model/weights.h"
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
        store_(store),
        walk_(files, plan, feedback.calibration->samples, context) {}

  size_t layers() const { return walk_.layers(); }

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
    Save(layer);
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
    const Feedback feedback = MakeFeedback(GramOf(rows), rows.width, feedback_.damping, feedback_.act_order, where);
    for (const Role role : readers) {
      const TensorSpec& spec = Spec(role);
      const FormatId format = FormatOf(spec);
      if (!GgmlGrid::Has(format)) continue;
      const std::span<float> weights = walk_.Matrix(role);
      if (!std::ranges::all_of(weights, [](float w) { return std::isfinite(w); }))
        Fail(ErrorKind::kNumeric, "{}: tensor \"{}\" holds NaN or infinity", files_.path.string(), spec.name);
      const size_t row_bytes = GetFormat(format).RowBytes(spec.cols);
      Solved& solved = solved_.emplace_back(
          Solved{&spec, std::vector<std::byte>(spec.rows * row_bytes), static_cast<int64_t>(row_bytes)});
      const SolveError error = SolveGgml(weights, spec.rows, feedback, format, solved.bytes);
      total.change += error.change;
      total.size += error.size;
    }
  }

  void Save(size_t layer) {
    std::vector<TensorToWrite> tensors;
    for (const Solved& one : solved_)
      tensors.push_back({one.spec->name, DType::kU8, {static_cast<int64_t>(one.spec->rows), one.row_bytes}, one.bytes});
    store_.Save(layer, std::move(tensors), Json::object());
  }

  // The weights that an earlier run came to.
  void Replay(size_t layer) {
    const std::unique_ptr<SafetensorsFile> file = store_.Open(layer);
    for (const auto& [name, entry] : file->tensors()) {
      const TensorSpec& spec = *std::ranges::find(plan_.tensors, name, &TensorSpec::name);
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
  LayerStore& store_;
  BlockWalk walk_;
  std::vector<Solved> solved_;  // of the layer at hand
};

}  // namespace

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
}

}  // namespace qad
