// Whether a quantized copy of a model still answers well enough: the floors of decide.required held against the dev
// items. What quantize/auto_model.h asks for.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "experiment/dev_set.h"

namespace qad {

// Errors (kUsage): no data.dev or decide.required.
void RequireFloors(const Config& config);

class FloorJudge {
 public:
  // All dev items are answered, whatever a run is cut to. Errors (kUsage): as RequireFloors; a required
  // slice of which dev has no item; the model itself, in bf16, does not reach its floors, with what it reaches.
  FloorJudge(const Config& config, Prompting prompting, int threads);

  // By how much the required slice that is worst off falls short of its floor; none does where it is ≤ 0.
  double operator()(const std::filesystem::path& copy);

 private:
  double Shortfall(Model& model, std::string* worst) const;

  Workspace workspace_;
  std::optional<DevSet> dev_;
};

}  // namespace qad
