#include "experiment/evaluate_arm.h"

#include <algorithm>
#include <chrono>

#include "base/error.h"
#include "base/progress.h"
#include "base/random.h"
#include "evaluate/citation.h"
#include "evaluate/metrics.h"
#include "experiment/batch_store.h"
#include "experiment/declared.h"
#include "experiment/prompts.h"
#include "experiment/stages.h"
#include "model/generation.h"
#include "results/statistics.h"
#include "text/unicode.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

// Answered between two writes: what a kill, or an endpoint that goes away, can lose.
constexpr size_t kItemsAtOnce = 128, kItemsAtOnceOfEndpoint = 8;
constexpr size_t kSequencesAtOnce = 16;

// What evaluation of one arm holds while it goes through the items.
struct ArmRun {
  Workspace& workspace;
  const ArmConfig& arm;
  Model& model;
  std::vector<std::string> refusals;
  std::vector<Sample> samples = {};
  int64_t skipped = 0, doubtful = 0, missing_usage = 0;  // as BatchStore::Done has them
};

// How the data words a refusal: the answers of unanswerable items, of training and of evaluation.
std::vector<std::string> Refusals(const Workspace& workspace) {
  std::vector<std::string> sentences = RefusalSentences(workspace.train);
  for (std::string& sentence : RefusalSentences(workspace.eval))
    if (std::ranges::find(sentences, sentence) == sentences.end()) sentences.push_back(std::move(sentence));
  return sentences;
}

bool Fits(const ArmRun& run, const Prompt& prompt) {
  const auto answer = static_cast<size_t>(run.workspace.config.eval.max_new_tokens);
  return Fits(run.workspace, run.model, prompt, std::max({answer, prompt.reference.size(), LongestChoice(prompt)}));
}

// Which passage the answer rests on, and whether that is the one the item names. A refusal rests on none.
void Cite(const ArmRun& run, const Item& item, const Prompt& prompt, Sample& sample) {
  if (run.arm.prompting != Prompting::kRag || prompt.passages.empty()) return;
  if (const auto refused = sample.scores.find("refused"); refused != sample.scores.end() && refused->second == 1)
    return;
  const auto cited = CitedPassage(sample.output, prompt.passages);
  if (!cited) return;
  sample.citation = prompt.passages[*cited].id;
  if (JudgesRetrieval(item) && item.answerable)
    sample.scores["citation"] = IsFromSource(sample.citation, item.source) ? 1 : 0;
}

// Where no passage was found the model is not asked, and `answer` is empty.
Sample MakeSample(const ArmRun& run, const Item& item, const Prompt& prompt, const Generated& answer) {
  Sample sample = StartSample(run.arm.name, item);
  sample.prompt_tokens = prompt.nothing_found ? 0 : static_cast<int64_t>(prompt.tokens.size());
  sample.output_tokens = static_cast<int64_t>(answer.tokens.size());
  sample.truncated = answer.truncated;
  sample.seconds = answer.seconds;
  sample.output = prompt.nothing_found ? RefusalOf(run.workspace) : run.model.tokenizer.Decode(answer.tokens);
  for (const Passage& passage : prompt.passages) sample.passages.push_back(passage.id);
  sample.scores =
      ScoreAnswer({.item = item, .output = sample.output, .truncated = sample.truncated, .refusals = run.refusals});
  if (!run.arm.endpoint && !prompt.nothing_found && !prompt.reference.empty())
    sample.scores["answer_log_likelihood"] =
        answer.reference_log_probability / static_cast<double>(prompt.reference.size());
  Cite(run, item, prompt, sample);
  return sample;
}

bool ShareSystemMessage(const Item& a, const Item& b) {
  const auto system = [](const Item& item) {
    const bool own = !item.messages.empty() && item.messages.front().role == "system";
    return own ? item.messages.front().content : std::string();
  };
  return a.plain_text == b.plain_text && system(a) == system(b);
}

// Places of the items that the model is asked, those of one system message together, however they are mixed: what their
// prompts have in common is computed once.
std::vector<std::vector<size_t>> Groups(const std::vector<const Item*>& items, const std::vector<Prompt>& prompts) {
  std::vector<std::vector<size_t>> groups;
  for (size_t i = 0; i < items.size(); ++i) {
    if (prompts[i].nothing_found) continue;
    const auto group = std::ranges::find_if(
        groups, [&](const std::vector<size_t>& of) { return ShareSystemMessage(*items[of.front()], *items[i]); });
    if (group == groups.end())
      groups.push_back({i});
    else
      group->push_back(i);
  }
  return groups;
}

void RunItems(ArmRun& run, const PromptMaker& maker, std::span<const Item> items) {
  std::vector<const Item*> kept;
  std::vector<Prompt> prompts;
  for (const Item& item : items) {
    Prompt prompt = maker.Make(run.model, run.arm, item);
    if (!Fits(run, prompt)) {
      ++run.skipped;  // counted and reported, never cut
      continue;
    }
    kept.push_back(&item);
    prompts.push_back(std::move(prompt));
  }
  GenerateOptions options;
  options.max_new_tokens = run.workspace.config.eval.max_new_tokens;
  options.temperature = run.workspace.config.eval.temperature;
  options.max_batch = kSequencesAtOnce;
  std::vector<Generated> answers(kept.size());
  for (const std::vector<size_t>& group : Groups(kept, prompts)) {
    std::vector<std::vector<TokenId>> tokens, references;
    for (const size_t i : group) {
      tokens.push_back(prompts[i].tokens);
      references.push_back(prompts[i].reference);
    }
    options.seed = MixBits(run.workspace.config.seed ^ (run.samples.size() + group.front()));
    options.references = references;
    std::vector<Generated> some =
        Generate(run.workspace.context, run.model.transformer, run.model.tokenizer, tokens, options);
    for (size_t i = 0; i < group.size(); ++i) answers[group[i]] = std::move(some[i]);
  }
  for (size_t i = 0; i < kept.size(); ++i) {
    run.samples.push_back(MakeSample(run, *kept[i], prompts[i], answers[i]));
    ScoreChoices(run.workspace, run.model, *kept[i], prompts[i], run.samples.back());
  }
}

void CountTokensOf(ArmRun& run, const Prompt& prompt, const EndpointAnswer& answer, Sample& sample) {
  const TokenCounts counts = CountTokens(answer, prompt.messages, run.workspace.config.eval.max_new_tokens,
                                         prompt.tokens.size(), run.model.tokenizer);
  sample.prompt_tokens = counts.prompt;
  sample.output_tokens = counts.output;
  if (counts.usage == Usage::kDoubtful) ++run.doubtful;
  if (counts.usage == Usage::kMissing) ++run.missing_usage;
}

// One after the other, so that what is timed is not what waits. Plain texts have nothing to be asked.
void AskItems(ArmRun& run, const PromptMaker& maker, Endpoint& endpoint, std::span<const Item> items) {
  const EvalOptions& eval = run.workspace.config.eval;
  for (const Item& item : items) {
    const Prompt prompt = maker.Make(run.model, run.arm, item);
    if (!Fits(run, prompt) || prompt.messages.empty()) {
      ++run.skipped;
      continue;
    }
    Sample sample = MakeSample(run, item, prompt, {});
    if (!prompt.nothing_found) {
      const EndpointAnswer answer = endpoint.Ask(prompt.messages, eval.max_new_tokens, eval.temperature,
                                                 MixBits(run.workspace.config.seed ^ run.samples.size()));
      sample.output = ReplaceInvalidUtf8(answer.text);
      sample.truncated = answer.truncated;
      sample.seconds = answer.seconds;
      sample.scores =
          ScoreAnswer({.item = item, .output = sample.output, .truncated = sample.truncated, .refusals = run.refusals});
      CountTokensOf(run, prompt, answer, sample);
      Cite(run, item, prompt, sample);
    }
    run.samples.push_back(std::move(sample));
  }
}

void AddTokenRows(const ArmRun& run, Results& results) {
  double prompt = 0, output = 0;
  for (const Sample& sample : run.samples) {
    prompt += static_cast<double>(sample.prompt_tokens);
    output += static_cast<double>(sample.output_tokens);
  }
  const auto n = static_cast<int64_t>(run.samples.size());
  const auto add = [&](const char* metric, double value, int64_t of) {
    results.rows.push_back(Measured(run.arm.name, kTokensSlice, metric, value, of));
  };
  add("prompt_tokens", prompt / static_cast<double>(n), n);
  add("output_tokens", output / static_cast<double>(n), n);
  add("skipped_items", static_cast<double>(run.skipped), n + run.skipped);
  if (run.doubtful > 0) add("doubtful_usage", static_cast<double>(run.doubtful), n);
  if (run.missing_usage > 0) add("missing_usage", static_cast<double>(run.missing_usage), n);
}

// The share of `metric` among samples whose right passage was in the prompt.
void AddGivenPassage(const ArmRun& run, const char* name, const char* metric, Results& results) {
  int64_t n = 0, hits = 0;
  for (const Sample& sample : run.samples) {
    const auto item = std::ranges::find(run.workspace.eval, sample.item, &Item::id);
    const auto score = sample.scores.find(metric);
    if (item == run.workspace.eval.end() || !JudgesRetrieval(*item) || score == sample.scores.end()) continue;
    const bool given =
        std::ranges::any_of(sample.passages, [&](const std::string& id) { return IsFromSource(id, item->source); });
    if (!given) continue;
    ++n;
    if (score->second > 0.5) ++hits;
  }
  if (n == 0) return;
  const double share = static_cast<double>(hits) / static_cast<double>(n);
  Row row = Measured(run.arm.name, kRetrievalSlice, name, share, n);
  const Interval interval = WilsonInterval(share, static_cast<double>(n), run.workspace.config.eval.confidence);
  row.low = interval.low;
  row.high = interval.high;
  results.rows.push_back(std::move(row));
}

// From the right passage being found to the right answer being given.
void AddRetrievalRows(const ArmRun& run, const Index& index, const RefusalRule& refusal, Results& results) {
  const int k = run.workspace.config.rag.top_k;
  const auto of_dev = [&](const char* metric, double value) {
    results.rows.push_back(
        Measured(run.arm.name, kRetrievalSlice, metric, value, refusal.answerable + refusal.unanswerable));
  };
  if (refusal.answerable > 0 && refusal.unanswerable > 0) of_dev("dev_refusal_auc", refusal.auc);
  if (refusal.threshold) of_dev("refusal_threshold", *refusal.threshold);
  const RetrievalQuality quality = MeasureRetrieval(index, run.workspace.eval, k);
  if (quality.n == 0) return;
  const auto add = [&](const std::string& metric, double value) {
    results.rows.push_back(Measured(run.arm.name, kRetrievalSlice, metric, value, quality.n));
  };
  add("recall_at_1", quality.recall_at_1);
  add(fmt::format("recall_at_{}", k), quality.recall_at_k);
  add("mrr", quality.mean_reciprocal_rank);
  AddGivenPassage(run, "right_given_passage", "contains", results);
  AddGivenPassage(run, "stale_given_passage", "stale", results);
}

ArmRun StartRun(Workspace& workspace, const ArmConfig& arm) {
  return {workspace, arm, ModelOf(workspace, arm), Refusals(workspace)};
}

// Answers what the store does not hold yet, and puts it there. Returns the seconds of all runs.
double AnswerAll(ArmRun& run, const PromptMaker& maker, std::span<const Item> items, const std::string& label,
                 BatchStore& store) {
  const auto start = std::chrono::steady_clock::now();
  const std::unique_ptr<Endpoint> endpoint =
      run.arm.endpoint ? std::make_unique<Endpoint>(run.arm.endpoint->options) : nullptr;
  const size_t at_once = endpoint != nullptr ? kItemsAtOnceOfEndpoint : kItemsAtOnce;
  const BatchStore::Done before = store.done();
  run.samples = store.TakeSamples();
  run.skipped = before.skipped;
  run.doubtful = before.doubtful;
  run.missing_usage = before.missing_usage;
  Progress progress(label, static_cast<double>(items.size()), "items", run.workspace.quiet);
  progress.Advance(static_cast<double>(before.items));
  const auto seconds = [&] {
    return before.seconds + std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  size_t done = before.items;
  while (done < items.size()) {
    const std::span<const Item> rest = items.subspan(done), now = rest.first(std::min(rest.size(), at_once));
    const size_t first = run.samples.size();
    endpoint != nullptr ? AskItems(run, maker, *endpoint, now) : RunItems(run, maker, now);
    done += now.size();
    store.Add({run.samples.begin() + static_cast<std::ptrdiff_t>(first), run.samples.end()},
              {.items = done,
               .skipped = run.skipped,
               .doubtful = run.doubtful,
               .missing_usage = run.missing_usage,
               .seconds = seconds()});
    progress.Advance(static_cast<double>(now.size()));
  }
  return seconds();
}

}  // namespace

void ScoreChoices(Workspace& workspace, Model& model, const Item& item, const Prompt& prompt, Sample& sample) {
  if (prompt.choices.empty()) return;
  if (prompt.nothing_found) {  // a refusal is none of them
    sample.scores["choice"] = sample.scores["choice_by_byte"] = 0;
    return;
  }
  const std::vector<std::vector<TokenId>> prompts(prompt.choices.size(), prompt.tokens);
  GenerateOptions options;
  options.max_new_tokens = 1;
  options.references = prompt.choices;
  const std::vector<Generated> scored =
      Generate(workspace.context, model.transformer, model.tokenizer, prompts, options);
  size_t likeliest = 0, likeliest_by_byte = 0;
  const auto of_byte = [&](size_t i) {
    return scored[i].reference_log_probability / static_cast<double>(item.choices[i].size());
  };
  for (size_t i = 1; i < scored.size(); ++i) {
    if (scored[i].reference_log_probability > scored[likeliest].reference_log_probability) likeliest = i;
    if (of_byte(i) > of_byte(likeliest_by_byte)) likeliest_by_byte = i;
  }
  sample.scores["choice"] = item.choices[likeliest] == item.completion ? 1 : 0;
  sample.scores["choice_by_byte"] = item.choices[likeliest_by_byte] == item.completion ? 1 : 0;
}

std::vector<Sample> AnswerItems(Workspace& workspace, const ArmConfig& arm, const Index* index,
                                std::span<const Item> items, const std::string& label, const fs::path& batches,
                                const Json& inputs) {
  ArmRun run = StartRun(workspace, arm);
  BatchStore store(batches, inputs);
  AnswerAll(run, PromptMaker(workspace, index), items, label, store);
  store.Remove();
  return std::move(run.samples);
}

Results EvaluateArm(Workspace& workspace, const ArmConfig& arm, const fs::path& samples_file, const Json& inputs) {
  ArmRun run = StartRun(workspace, arm);
  std::unique_ptr<Index> index;
  if (arm.prompting == Prompting::kRag) index = OpenIndex(workspace, false, nullptr);
  const PromptMaker maker(workspace, index.get());
  BatchStore store(fs::path(samples_file).replace_extension(".batches"), inputs);
  const double seconds = AnswerAll(run, maker, workspace.eval, "evaluate " + arm.name, store);
  if (run.samples.empty())
    FailInput("arm {}: no evaluation item {}fits data.max_length and the model's positions", arm.name,
              arm.endpoint ? "asks something and " : "");
  KeepDeclared(workspace.root, workspace.config);
  WriteSamples(samples_file, run.samples);
  Results results;
  results.rows = Summarize(workspace, run.samples);
  AddTokenRows(run, results);
  if (index != nullptr) AddRetrievalRows(run, *index, maker.refusal(), results);
  results.rows.push_back(Measured(arm.name, kUpdateSlice, "evaluation_seconds", seconds));
  store.Remove();
  return results;
}

}  // namespace qad
