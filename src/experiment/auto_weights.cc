#include "experiment/auto_weights.h"

#include <chrono>

#include "evaluate/kl_judge.h"
#include "experiment/floor_judge.h"

namespace qad {

AutoWeights MakeAutoWeights(const std::filesystem::path& model, const std::filesystem::path& output,
                            Calibration calibration, AutoOptions options, const std::optional<FloorsToReach>& floors) {
  const auto start = std::chrono::steady_clock::now();  // what the judges ask of the model itself is part of the search
  KlJudge divergence(model, HoldOut(calibration), options.threads);
  std::optional<FloorJudge> reached;
  if (floors) reached.emplace(floors->config, floors->prompting, options.threads);
  options.judges_kl = !floors;
  options.judge = [&](const std::filesystem::path& path) { return reached ? (*reached)(path) : divergence(path); };
  AutoWeights made{.report = QuantizeAuto(model, output, calibration, options), .above_floor = {}};
  const double judged = made.report.chosen.judged;
  if (floors) made.above_floor = -judged;
  made.kl_divergence = floors ? divergence(output) : judged;
  made.report.artefact.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return made;
}

}  // namespace qad
