// quantize/auto_model.h as an experiment uses it: texts are held out to judge by, or the floors of a configuration.
#pragma once

#include <filesystem>
#include <optional>

#include "experiment/config.h"
#include "quantize/auto_model.h"
#include "quantize/calibration.h"

namespace qad {

// Whose floors a file must reach, and how its items are asked.
struct FloorsToReach {
  const Config& config;
  Prompting prompting = Prompting::kZeroShot;
};

struct AutoWeights {
  AutoReport report;
  double kl_divergence = 0;           // of the chosen file from the model, on the texts held out
  std::optional<double> above_floor;  // by how much the required slice that is worst off is
};

// `options` without a judge; with `floors` without a limit. Errors: as HoldOut, KlJudge, FloorJudge and QuantizeAuto.
AutoWeights MakeAutoWeights(const std::filesystem::path& model, const std::filesystem::path& output,
                            Calibration calibration, AutoOptions options, const std::optional<FloorsToReach>& floors);

}  // namespace qad
