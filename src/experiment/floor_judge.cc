#include "experiment/floor_judge.h"

#include <cmath>

#include "base/error.h"
#include "results/slices.h"

namespace qad {
namespace {

std::string Where(const Config& config) { return config.file.string(); }

}  // namespace

void RequireFloors(const Config& config) {
  if (config.data.dev.empty() || config.decide.required.empty())
    Fail(ErrorKind::kUsage,
         "{}: a search for the smallest weights above the quality floor wants floors (decide.required) and items that "
         "nothing else is decided by (data.dev)",
         Where(config));
}

FloorJudge::FloorJudge(const Config& config, Prompting prompting, int threads) : workspace_(config, {}, threads, true) {
  RequireFloors(config);
  Model& model = workspace_.models.Get("bf16");
  std::vector<Item> items = workspace_.dev;
  if (prompting == Prompting::kRag) items = WithPassages(workspace_, std::move(items));
  dev_.emplace(workspace_, model, items, prompting == Prompting::kRag ? Prompting::kZeroShot : prompting);
  std::string worst;
  if (const double shortfall = Shortfall(model, &worst); shortfall > 0)
    Fail(ErrorKind::kUsage,
         "{}: the model itself, unquantized, does not reach the floors on data.dev: {}; no quantized copy of it can be "
         "expected to",
         Where(config), worst);
  workspace_.FreeModels();
}

double FloorJudge::Shortfall(Model& model, std::string* worst) const {
  const std::map<std::string, double> shares = dev_->Score(model);
  double most = -HUGE_VAL;
  for (const auto& [required, floor] : workspace_.config.decide.required) {
    bool found = false;
    for (const auto& [slice, share] : shares) {
      if (!SliceMatches(slice, required)) continue;
      found = true;
      if (floor - share <= most) continue;
      most = floor - share;
      *worst = fmt::format("{} is at {:.2f}, its floor at {:.2f}", slice, share, floor);
    }
    if (!found)
      Fail(ErrorKind::kUsage, "{}: decide.required names '{}', of which data.dev has no item that fits",
           Where(workspace_.config), required);
  }
  return most;
}

double FloorJudge::operator()(const std::filesystem::path& copy) {
  Model model = LoadModel(copy, WeightMode::kAsStored);
  std::string worst;
  return Shortfall(model, &worst);
}

}  // namespace qad
