#include "decide/decide.h"

#include <utility>

#include "decide/answers.h"
#include "decide/break_even.h"
#include "decide/deployment.h"
#include "decide/evidence.h"
#include "decide/freshness.h"
#include "decide/headline.h"
#include "decide/robustness.h"
#include "decide/rules.h"
#include "decide/sensitivity.h"

namespace qad {
namespace {

uint64_t MemoryOf(const Json& manifest) {
  const auto machine = manifest.find("machine");
  if (machine == manifest.end() || !machine->is_object()) return 0;
  const auto memory = machine->find("memory_bytes");
  return memory != machine->end() && memory->is_number_unsigned() ? memory->get<uint64_t>() : 0;
}

// Shares per arm, the other arm that is chosen most often, and whether the choice is firm.
void PutRobustness(const Robustness& robustness, Decision& decision) {
  decision.resamples = robustness.resamples;
  if (robustness.resamples == 0) return;
  decision.nothing = robustness.nothing;
  double most = robustness.nothing;
  if (!decision.recommended.empty() && most > 0) decision.runner_up = "nothing";
  for (size_t i = 0; i < decision.arms.size(); ++i) {
    ArmDecision& arm = decision.arms[i];
    arm.chosen = robustness.chosen[i];
    if (arm.arm == decision.recommended) {
      decision.undecided = *arm.chosen < kDecided;
    } else if (*arm.chosen > (decision.recommended.empty() ? 0 : most)) {
      most = *arm.chosen;
      decision.runner_up = arm.arm;
    }
  }
}

}  // namespace

Decision Decide(const Results& results, const std::vector<Sample>& samples, DecideOptions options, int64_t resamples,
                uint64_t seed) {
  if (options.memory_budget == 0) options.memory_budget = MemoryOf(results.manifest);
  const Evidence evidence = GatherEvidence(results, options);
  Decision decision;
  decision.partial = results.partial;
  decision.required = evidence.required;
  decision.utilization = options.utilization;
  decision.queries_per_month = options.queries_per_month;
  decision.changes_per_month = options.changes_per_month;
  decision.horizon_months = options.horizon_months;
  decision.price_per_hour = options.price_per_hour;
  if (const auto choice = Choose(evidence, options)) decision.recommended = evidence.arms[*choice].arm;
  for (const ArmEvidence& arm : evidence.arms) decision.arms.push_back(JudgeArm(arm, evidence.required, options));

  const Robustness robustness = resamples > 0 ? Resample(evidence, samples, options, resamples, seed) : Robustness();
  PutRobustness(robustness, decision);
  decision.flips = FindFlips(evidence, options);
  decision.map = MapWinners(evidence, options);
  decision.topics = AnswerTopics(results, samples);
  decision.break_even = FindBreakEven(results, evidence, options);
  decision.pay_back = FindPayBack(results, evidence, options);
  for (const BreakEven& pair : PairsToShow(results, decision))
    decision.cheaper.push_back(MapCheaper(pair, evidence, options));
  decision.quantization = AnswerQuantization(results);
  decision.freshness = CheckFreshness(results, evidence, decision.topics, options);
  decision.weekly = AnswerWeekly(decision, evidence, options);
  decision.qlora = AnswerQlora(results, samples);
  decision.deployment = AnswerDeployments(results, samples);
  decision.pattern = CheckPattern(results, samples, decision.quantization);
  if (const ArmDecision* closest = decision.recommended.empty() ? Closest(decision) : nullptr)
    decision.closest = closest->arm;
  decision.headline = Headline(decision);
  decision.unknowns = Unknowns(decision, results, options, robustness.fixed);
  return decision;
}

}  // namespace qad
