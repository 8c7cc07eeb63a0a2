#include "quantize/fisher.h"

#include <cmath>
#include <memory>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "model/training.h"
#include "model/weights.h"
#include "quantize/artefact.h"
#include "quantize/block_walk.h"
#include "quantize/hessian.h"

namespace qad {
namespace {

class Collector {
 public:
  explicit Collector(const Plan& plan) : plan_(plan) {}

  void Add(const OutputGradient& gradient) {
    const std::vector<double> sums = SumsOfSquares({gradient.values, gradient.rows, gradient.width});
    if (gradient.layer == OutputGradient::kHead) {
      const TensorSpec* head = plan_.Find(plan_.config.tied_head ? Role::kTokenEmbedding : Role::kHead, -1);
      return AddTo(fisher_.outputs[head->name], sums);
    }
    size_t first = 0;
    const auto input = static_cast<BlockWalk::Input>(gradient.operation);
    for (const Role role : BlockWalk::ReadersOf(plan_, gradient.layer, input)) {
      const TensorSpec& spec = *plan_.Find(role, static_cast<int>(gradient.layer));
      AddTo(fisher_.outputs[spec.name], std::span(sums).subspan(first, spec.rows));
      first += spec.rows;
    }
    QAD_CHECK(first == gradient.width);
  }

  void AddEmbedded(std::span<const float> gradient, size_t rows) {
    AddTo(fisher_.embedded, SumsOfSquares({gradient.data(), rows, plan_.config.hidden}));
    fisher_.tokens += rows;
  }

  // Errors (kNumeric): gradients that are not finite.
  Fisher Finish(const std::string& where) {
    const auto divide = [&](std::vector<double>& values) {
      for (double& value : values) {
        value /= static_cast<double>(fisher_.tokens);
        if (!std::isfinite(value))
          Fail(ErrorKind::kNumeric, "{}: gradients of its predictions on the calibration texts are not finite", where);
      }
    };
    for (auto& [name, values] : fisher_.outputs) divide(values);
    divide(fisher_.embedded);
    return std::move(fisher_);
  }

 private:
  static void AddTo(std::vector<double>& to, std::span<const double> values) {
    to.resize(values.size());
    for (size_t i = 0; i < values.size(); ++i) to[i] += values[i];
  }

  const Plan& plan_;
  Fisher fisher_;
};

}  // namespace

Fisher MeasureFisher(const ModelFiles& files, std::span<const std::vector<TokenId>> samples, size_t tokens,
                     Context& context, bool quiet) {
  const bool dense = GetFormat(PlanOf(files, WeightMode::kAsStored).Find(Role::kO, 0)->stored).block == 1;
  Transformer model(
      std::make_shared<const Weights>(PlanOf(files, dense ? WeightMode::kBF16 : WeightMode::kAsStored), files));
  const Plan& plan = model.weights().plan();
  TrainingPass pass(model);
  Collector collector(plan);
  Progress progress("measure sensitivities", static_cast<double>(tokens), "tokens", quiet);
  size_t all = 0, done = 0, step = 0;
  for (const std::vector<TokenId>& sample : samples) all += sample.size();
  // Samples at even steps, from all over the texts.
  const size_t every = std::max<size_t>(1, all / std::max<size_t>(tokens, 1));
  for (size_t s = 0; s < samples.size() && done < tokens; s += every) {
    const std::vector<TokenId>& sample = samples[s];
    ThrowIfInterrupted();
    const PackedBatch batch{
        .tokens = sample, .labels = std::vector<TokenId>(sample.size()), .lengths = {sample.size()}};
    const double loss = pass.Run(
        context, batch, {.step = step++, .sample_labels = true, .on_outputs = [&](const OutputGradient& gradient) {
                           collector.Add(gradient);
                         }});
    if (!std::isfinite(loss)) {
      RequireFiniteWeights(files, plan);
      Fail(ErrorKind::kNumeric,
           "{}: its weights are finite, but its predictions on the calibration texts are not; other texts may do",
           files.path.string());
    }
    collector.AddEmbedded(pass.input_gradient(), sample.size());
    done += sample.size();
    progress.Advance(static_cast<double>(sample.size()));
  }
  return collector.Finish(files.path.string());
}

}  // namespace qad
