#include "evaluate/metrics.h"

#include <algorithm>
#include <array>
#include <map>

#include "base/error.h"
#include "evaluate/schema.h"
#include "evaluate/words.h"
#include "retrieve/splitting.h"
#include "text/pattern.h"
#include "text/unicode.h"

namespace qad {
namespace {

// Said about one's own knowledge or the source, so that "refunds are not provided in cash" is no refusal. Normalized.
constexpr std::array<std::string_view, 26> kRefusalPhrases = {"i dont know",
                                                              "i do not know",
                                                              "i cant answer",
                                                              "i cannot answer",
                                                              "cannot be answered",
                                                              "unable to answer",
                                                              "cant find",
                                                              "cannot find",
                                                              "could not find",
                                                              "couldnt find",
                                                              "i have no information",
                                                              "i dont have information",
                                                              "i do not have information",
                                                              "i dont have any information",
                                                              "i do not have any information",
                                                              "no information about",
                                                              "no information on",
                                                              "not enough information",
                                                              "does not say",
                                                              "doesnt say",
                                                              "does not mention",
                                                              "doesnt mention",
                                                              "does not contain",
                                                              "does not provide information",
                                                              "not mentioned in",
                                                              "im not sure"};

struct Match {
  size_t begin, end;
};

// Where `phrase` stands in `text` as whole words; both normalized, words separated by single spaces.
std::vector<Match> FindPhrase(std::string_view text, std::string_view phrase) {
  std::vector<Match> matches;
  if (phrase.empty()) return matches;
  for (size_t at = text.find(phrase); at != std::string_view::npos; at = text.find(phrase, at + 1)) {
    const size_t end = at + phrase.size();
    if ((at == 0 || text[at - 1] == ' ') && (end == text.size() || text[end] == ' ')) matches.push_back({at, end});
  }
  return matches;
}

std::vector<Match> FindAny(std::string_view text, const std::vector<std::string>& answers) {
  std::vector<Match> all;
  for (const std::string& answer : answers)
    for (const Match& match : FindPhrase(text, NormalizeAnswer(answer))) all.push_back(match);
  return all;
}

std::vector<std::string> Accepted(const Item& item) {
  return item.accept.empty() ? std::vector<std::string>{item.completion} : item.accept;
}

bool HasRejected(std::string_view normal, const Item& item) {
  const std::vector<Match> accepted = FindAny(normal, item.accept);
  const std::vector<Match> rejected = FindAny(normal, item.reject);
  return std::any_of(rejected.begin(), rejected.end(), [&](const Match& wrong) {
    return std::none_of(accepted.begin(), accepted.end(), [&](const Match& right) {
      return right.begin <= wrong.begin && wrong.end <= right.end && right.end - right.begin > wrong.end - wrong.begin;
    });
  });
}

bool IsRefusal(std::string_view normal, std::span<const std::string> sentences) {
  const auto stands = [&](std::string_view phrase) { return !FindPhrase(normal, phrase).empty(); };
  return std::any_of(sentences.begin(), sentences.end(), stands) ||
         std::any_of(kRefusalPhrases.begin(), kRefusalPhrases.end(), stands);
}

double TokenF1(const std::vector<std::string>& output, const std::vector<std::string>& reference) {
  if (output.empty() || reference.empty()) return output.empty() && reference.empty() ? 1 : 0;
  std::map<std::string_view, int> left;
  for (const std::string& word : reference) ++left[word];
  const auto common =
      std::count_if(output.begin(), output.end(), [&](const std::string& word) { return left[word]-- > 0; });
  return 2 * static_cast<double>(common) / static_cast<double>(output.size() + reference.size());
}

// F of precision and recall of the longest common subsequence (Lin 2004, ROUGE-L, β = 1).
double RougeL(const std::vector<std::string>& output, const std::vector<std::string>& reference) {
  if (output.empty() || reference.empty()) return output.empty() && reference.empty() ? 1 : 0;
  std::vector<size_t> row(reference.size() + 1);  // lengths against the first j words of the reference
  for (const std::string& word : output) {
    size_t diagonal = 0;
    for (size_t j = 1; j <= reference.size(); ++j) {
      const size_t above = row[j];
      row[j] = word == reference[j - 1] ? diagonal + 1 : std::max(row[j], row[j - 1]);
      diagonal = above;
    }
  }
  return 2 * static_cast<double>(row.back()) / static_cast<double>(output.size() + reference.size());
}

// The metrics' functions.

double Contains(const Answer& answer) {
  const std::string normal = NormalizeAnswer(answer.output);
  return !FindAny(normal, Accepted(answer.item)).empty() && !HasRejected(normal, answer.item) ? 1 : 0;
}

double Stale(const Answer& answer) { return HasRejected(NormalizeAnswer(answer.output), answer.item) ? 1 : 0; }

double Exact(const Answer& answer) {
  const Item& item = answer.item;
  if (!item.schema.empty()) return AllFieldsRight(item, answer.output) ? 1 : 0;
  const auto equal = [&](std::string_view reference) { return Trim(reference) == Trim(answer.output); };
  return equal(item.completion) || std::any_of(item.accept.begin(), item.accept.end(), equal) ? 1 : 0;
}

double Normalized(const Answer& answer) {
  const std::string normal = NormalizeAnswer(answer.output);
  const std::vector<std::string> accepted = Accepted(answer.item);
  return std::any_of(accepted.begin(), accepted.end(), [&](const auto& a) { return NormalizeAnswer(a) == normal; }) ? 1
                                                                                                                    : 0;
}

double JsonValid(const Answer& answer) { return IsJson(answer.output) ? 1 : 0; }

double SchemaValid(const Answer& answer) { return FitsSchema(answer.item, answer.output) ? 1 : 0; }

// Of the completion and the accepted answers, the one that is nearest.
template <typename Similarity>
double BestOf(const Answer& answer, const Similarity& similarity) {
  const std::vector<std::string> output = NormalizedWords(answer.output);
  double best = similarity(output, NormalizedWords(answer.item.completion));
  for (const std::string& accepted : answer.item.accept)
    best = std::max(best, similarity(output, NormalizedWords(accepted)));
  return best;
}

double BestTokenF1(const Answer& answer) { return BestOf(answer, TokenF1); }
double BestRougeL(const Answer& answer) { return BestOf(answer, RougeL); }

double Refused(const Answer& answer) { return IsRefusal(NormalizeAnswer(answer.output), answer.refusals) ? 1 : 0; }

double CorrectRefusal(const Answer& answer) { return Stale(answer) == 1 ? 0 : Refused(answer); }

double FalseRefusal(const Answer& answer) {
  return FindAny(NormalizeAnswer(answer.output), Accepted(answer.item)).empty() ? Refused(answer) : 0;
}

double MatchesPattern(const Answer& answer) {
  return Pattern(answer.item.pattern, answer.item.id).Matches(ReplaceInvalidUtf8(answer.output)) ? 1 : 0;
}

double Truncated(const Answer& answer) { return answer.truncated ? 1 : 0; }

// Which items they are for.

bool Any(const Item&) { return true; }
bool HasSchema(const Item& item) { return !item.plain_text && !item.schema.empty(); }
bool IsQuestion(const Item& item) { return !item.plain_text && item.schema.empty(); }
bool IsAnswerable(const Item& item) { return IsQuestion(item) && item.answerable; }
bool IsUnanswerable(const Item& item) { return IsQuestion(item) && !item.answerable; }
bool HasReference(const Item& item) { return HasSchema(item) || IsAnswerable(item); }
bool HasPattern(const Item& item) { return !item.plain_text && !item.pattern.empty(); }
bool ListsRejected(const Item& item) { return IsQuestion(item) && !item.reject.empty(); }

constexpr std::array<Metric, 13> kMetrics = {{{"contains", IsAnswerable, Contains},
                                              {"stale", ListsRejected, Stale},
                                              {"exact", HasReference, Exact},
                                              {"normalized", IsAnswerable, Normalized},
                                              {"json_valid", HasSchema, JsonValid},
                                              {"schema_valid", HasSchema, SchemaValid},
                                              {"token_f1", IsAnswerable, BestTokenF1},
                                              {"rouge_l", IsAnswerable, BestRougeL},
                                              {"refused", IsQuestion, Refused},
                                              {"correct_refusal", IsUnanswerable, CorrectRefusal},
                                              {"false_refusal", IsAnswerable, FalseRefusal},
                                              {"matches", HasPattern, MatchesPattern},
                                              {"truncated", Any, Truncated}}};

}  // namespace

std::vector<std::string> RefusalSentences(std::span<const Item> items) {
  std::vector<std::string> sentences;
  for (const Item& item : items) {
    const std::string normal = item.answerable ? "" : NormalizeAnswer(item.completion);
    if (!normal.empty() && std::find(sentences.begin(), sentences.end(), normal) == sentences.end())
      sentences.push_back(normal);
  }
  return sentences;
}

std::span<const Metric> Metrics() { return kMetrics; }

std::map<std::string, double> ScoreAnswer(const Answer& answer) {
  std::map<std::string, double> scores;
  for (const Metric& metric : kMetrics)
    if (metric.applies(answer.item)) scores[std::string(metric.name)] = metric.score(answer);
  if (HasSchema(answer.item))
    for (const auto& [field, allowed] : answer.item.schema)
      scores["field:" + field] = IsFieldRight(answer.item, answer.output, field) ? 1 : 0;
  return scores;
}

std::string_view PrimaryMetric(const Item& item) {
  return item.choices.empty() ? PrimaryMetricOfAnswer(item) : "choice";
}

std::string_view PrimaryMetricOfAnswer(const Item& item) {
  if (HasSchema(item)) return "exact";
  if (IsUnanswerable(item)) return "correct_refusal";
  return IsAnswerable(item) ? "contains" : "";
}

Sample StartSample(std::string_view arm, const Item& item) {
  Sample sample;
  sample.arm = arm;
  sample.item = item.id;
  sample.slice = item.slice;
  sample.cluster = item.Cluster();
  sample.overlap = item.overlap;
  sample.expected = item.completion;
  return sample;
}

}  // namespace qad
