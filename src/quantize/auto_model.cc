#include "quantize/auto_model.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/error.h"
#include "base/files.h"
#include "base/units.h"
#include "model/weights.h"
#include "quantize/statistics.h"
#include "quantize/type_costs.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr size_t kFisherTokens = 4096;
constexpr int kMostTrials = 8;
constexpr double kNearEnough = 0.01;  // of a size

// Removed at the end, whatever happens.
struct TemporaryFile {
  explicit TemporaryFile(fs::path name) : path(std::move(name)) {}
  ~TemporaryFile() {
    std::error_code ignored;
    fs::remove(path, ignored);
  }
  TemporaryFile(const TemporaryFile&) = delete;
  TemporaryFile& operator=(const TemporaryFile&) = delete;
  fs::path path;
};

// The matrices, their candidates, and the knapsack over them.
class Search {
 public:
  Search(const ModelFiles& files, const Plan& plan, const GgufFeedback& feedback) : plan_(plan), feedback_(feedback) {
    uint64_t matrices = 0;
    for (size_t i = 0; i < plan.tensors.size(); ++i) {
      const TensorSpec& spec = plan.tensors[i];
      formats_.push_back(FormatId::kF32);
      if (!HasChoice(spec)) continue;
      tensors_.push_back(i);
      candidates_.push_back(CandidateTypes(spec));
      std::vector<Choice>& choices = choices_.emplace_back();
      for (const FormatId format : candidates_.back())
        choices.push_back({(spec.rows * GetFormat(format).RowBytes(spec.cols) + 31) / 32 * 32, 0});
      formats_.back() = candidates_.back().front();
      matrices += choices.front().bytes;
      smallest_ += std::ranges::min(choices, {}, &Choice::bytes).bytes;
    }
    overhead_ = GgufModelBytes(files, plan, Options()) - matrices;
    smallest_ += overhead_;
  }

  // Of a file, whatever types cost.
  uint64_t smallest() const { return smallest_; }

  void SetCosts(const TypeCosts& costs) {
    for (size_t i = 0; i < tensors_.size(); ++i)
      for (size_t c = 0; c < candidates_[i].size(); ++c)
        choices_[i][c].cost =
            costs.at(plan_.tensors[tensors_[i]].name).at(std::string(GetFormat(candidates_[i][c]).name));
    front_.emplace(choices_);
  }

  // Sizes of files.
  std::vector<Choice> front() const {
    std::vector<Choice> points = front_->points();
    for (Choice& point : points) point.bytes += overhead_;
    return points;
  }

  Choice Take(uint64_t budget) {
    const Allocation allocation = front_->At(budget - overhead_);
    for (size_t i = 0; i < tensors_.size(); ++i) formats_[tensors_[i]] = candidates_[i][allocation.chosen[i]];
    return {allocation.bytes + overhead_, allocation.cost};
  }

  // Readers of GGUF are told the file type that most weights have.
  GgufOptions Options() const {
    std::map<FormatId, size_t> weights;
    for (const size_t i : tensors_) weights[formats_[i]] += plan_.tensors[i].elements();
    const auto most = std::ranges::max_element(weights, {}, [](const auto& entry) { return entry.second; });
    const auto type = std::ranges::find(GgufFileTypes(), most->first, &GgufFileType::format);
    QAD_CHECK(type != GgufFileTypes().end());
    return {.type = &*type, .formats = formats_, .feedback = feedback_};
  }

  std::vector<std::pair<std::string, std::string>> names() const {
    std::vector<std::pair<std::string, std::string>> names;
    for (const size_t i : tensors_)
      names.emplace_back(plan_.tensors[i].gguf_name, std::string(GetFormat(formats_[i]).name));
    return names;
  }

 private:
  const Plan& plan_;
  const GgufFeedback& feedback_;
  std::vector<size_t> tensors_;  // of the plan, those that have a choice
  std::vector<std::vector<FormatId>> candidates_;
  std::vector<std::vector<Choice>> choices_;
  std::vector<FormatId> formats_;  // of all tensors, as they were last taken
  std::optional<AllocationFront> front_;
  uint64_t overhead_ = 0, smallest_ = 0;
};

// Makes files of the types that the search takes, judges them and keeps the best of them aside.
class Trials {
 public:
  // Both paths may be replaced.
  Trials(const fs::path& source, const fs::path& trial, const fs::path& best, Search& search,
         const AutoOptions& options)
      : source_(source), search_(search), options_(options), trial_(trial), best_(best) {}

  AutoTrial Make(uint64_t budget) {
    const Choice estimate = search_.Take(budget);
    GgufOptions gguf = search_.Options();
    gguf.quiet = options_.quiet;
    gguf.threads = options_.threads;
    made_ = MakeGguf(source_, trial_.path, gguf);
    QAD_CHECK(made_.bytes <= budget);
    AutoTrial trial{made_.bytes, estimate.cost, options_.judge(trial_.path)};
    report_.trials.push_back(trial);
    return trial;
  }

  // The last one made.
  void Keep() {
    MoveFile(trial_.path, best_.path);
    made_of_best_ = made_;
    report_.chosen = report_.trials.back();
    report_.formats = search_.names();
  }

  // Goes on between a size that fails and one that does not. The last judgement tells how far off the estimates are;
  // each failure asks for a little more than they then say, and the last chance is the largest file's.
  void FindSmallest() {
    constexpr double kMargin = 0.03;  // of the limit, for each failure
    const std::vector<Choice> front = search_.front();
    uint64_t low = front.front().bytes, high = front.back().bytes;
    double scale = 1, wanted = options_.limit;
    bool found = false;
    for (int i = 0; i < kMostTrials && low <= high; ++i) {
      const auto fits = std::ranges::find_if(front, [&](const Choice& point) { return point.cost * scale <= wanted; });
      const bool last_chance = !found && i + 1 == kMostTrials;
      const uint64_t guess = last_chance || fits == front.end() ? high : std::clamp(fits->bytes, low, high);
      if (found && guess >= high) break;
      const AutoTrial trial = Make(guess);
      if (trial.judged <= options_.limit) {
        found = true;
        high = trial.bytes;
        Keep();
      } else {
        low = guess + 1;
        wanted -= kMargin * options_.limit;
      }
      if (trial.estimated_kl > 0 && trial.judged > 0) scale = trial.judged / trial.estimated_kl;
      if (found && static_cast<double>(high - std::min(low, high)) < kNearEnough * static_cast<double>(high)) break;
    }
    if (!found) FailToFind();
  }

  // The same where nothing is known of how the judgement depends on the estimates: their range is halved, in
  // logarithms.
  void FindByHalving() {
    constexpr double kAlike = 1e-6;  // estimates below this
    const std::vector<Choice> front = search_.front();
    const auto log_cost = [&](size_t point) { return std::log(std::max(front[point].cost, kAlike)); };
    size_t low = 0, end = front.size();  // of points that are not known to fail, or to do
    for (int i = 0; i < kMostTrials && low < end; ++i) {
      const bool found = end < front.size();
      const double middle = 0.5 * (log_cost(low) + log_cost(end - 1));
      size_t guess = low;
      while (guess + 1 < end && log_cost(guess) > middle) ++guess;
      if (!found && i + 1 == kMostTrials) guess = end - 1;  // the last chance is the largest file's
      if (Make(front[guess].bytes).judged <= options_.limit) {
        end = guess;
        Keep();
        const auto room = static_cast<double>(front[end].bytes - front[low].bytes);
        if (room < kNearEnough * static_cast<double>(front[end].bytes)) break;
      } else {
        low = guess + 1;
      }
    }
    if (end == front.size()) FailToFind();
  }

  // The report lacks the artefact's own.
  AutoReport Finish(const fs::path& output) {
    MoveFile(best_.path, output);
    report_.front = search_.front();
    return std::move(report_);
  }

  // Of the best file.
  const GgufMade& made() const { return made_of_best_; }

 private:
  [[noreturn]] void FailToFind() const {
    const AutoTrial& best = *std::ranges::min_element(report_.trials, {}, &AutoTrial::judged);
    const std::string bytes = FormatBytes(static_cast<double>(best.bytes));
    if (!options_.judges_kl)
      Fail(ErrorKind::kUsage,
           "{}: no file reaches what is asked of it; the nearest, of {}, falls short by {:.3f}: lower the floors",
           source_.string(), bytes, best.judged - options_.limit);
    Fail(ErrorKind::kUsage, "{}: no file is within the limit of {}; the nearest, of {}, is at {}: raise the limit",
         source_.string(), options_.limit, bytes, best.judged);
  }

  const fs::path& source_;
  Search& search_;
  const AutoOptions& options_;
  TemporaryFile trial_, best_;
  GgufMade made_, made_of_best_;
  AutoReport report_;
};

void RequireBudget(const ModelFiles& files, const Search& search, uint64_t budget) {
  if (budget < search.smallest())
    Fail(ErrorKind::kUsage, "{}: a budget of {} is below its smallest file, {}", files.path.string(),
         FormatBytes(static_cast<double>(budget)), FormatBytes(static_cast<double>(search.smallest())));
}

}  // namespace

void RequireBudget(const fs::path& source, uint64_t budget) {
  const ModelFiles files = OpenModel(source);
  const Plan plan = PlanOf(files, WeightMode::kF32);
  const Calibration none;
  const GgufFeedback feedback{.calibration = &none, .fisher = nullptr};
  RequireBudget(files, Search(files, plan, feedback), budget);
}

AutoReport QuantizeAuto(const fs::path& source, const fs::path& output, const Calibration& calibration,
                        const AutoOptions& options) {
  const fs::path trial = output.string() + ".trial.gguf", best = output.string() + ".best.gguf";
  for (const fs::path& path : {output, trial, best}) RequireReplaceableGguf(path, source);
  const ReportFrame frame(options.threads);
  const ModelFiles files = OpenModel(source);
  const Plan plan = PlanOf(files, WeightMode::kF32);
  RequireRunnable(plan.config, files.path.string());
  GgufFeedback feedback{
      .calibration = &calibration, .damping = options.damping, .act_order = options.act_order, .fisher = nullptr};
  Search search(files, plan, feedback);
  if (options.budget > 0) RequireBudget(files, search, options.budget);
  WarnOfFewTokens(calibration, plan);
  Context context(Numerics::kFast, options.threads);
  const Statistics statistics(options.statistics, files, calibration);
  const Fisher fisher = statistics.GetFisher(kFisherTokens, context, options.quiet);
  feedback.fisher = &fisher;
  const Json key = statistics.Key("type costs", {{"damping", options.damping}, {"act_order", options.act_order}});
  LayerStore table(statistics.kept() ? statistics.PathOf(key) : fs::path(output.string() + ".types"), key);
  search.SetCosts(MeasureTypeCosts(files, plan, feedback, context, table, options.quiet));
  Trials trials(source, trial, best, search, options);
  if (options.budget == 0) {
    options.judges_kl ? trials.FindSmallest() : trials.FindByHalving();
  } else {
    (void)trials.Make(options.budget);
    trials.Keep();
  }
  AutoReport report = trials.Finish(output);
  if (!statistics.kept()) table.Finish();
  report.artefact = frame.Finish(output, trials.made().bytes, trials.made().source_bytes, trials.made().errors,
                                 trials.made().changes);
  return report;
}

}  // namespace qad
