// How an answer is scored: a table of metrics, one row and one function each. All scores are 0 or 1, or from 0 to 1.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "results/results.h"
#include "text/dataset.h"

namespace qad {

// Sentences the dataset itself refuses with: the answers of its unanswerable items, normalized, each once.
std::vector<std::string> RefusalSentences(std::span<const Item> items);

// What a metric looks at.
struct Answer {
  const Item& item;
  std::string_view output;
  bool truncated = false;
  std::span<const std::string> refusals;  // RefusalSentences of the datasets
};

struct Metric {
  std::string_view name;
  bool (*applies)(const Item& item);
  double (*score)(const Answer& answer);
};

// Where an item lists no accepted answers, its completion is the one.
// - contains: has an accepted answer and no rejected one, as whole words of the normalized text ("30 days" is not in
//   "130 days"). A rejected answer inside a longer accepted one does not count. Answerable items without a schema.
// - stale: has a rejected answer. Items that list some.
// - exact: of schema items, every field right and no other; of answerable items without a schema, the completion or an
//   accepted answer byte for byte, white space at the ends aside.
// - normalized: equals an accepted answer after normalizing. Answerable items without a schema.
// - json_valid: one JSON object or array, white space around it at most (a ``` fence is not valid), with no key twice
//   in an object and at most kMaxJsonDepth levels. Schema items.
// - schema_valid: such JSON, an object with exactly the schema's fields, each of the reference's type and among its
//   allowed values (any value where none are listed). Schema items.
// - token_f1: F1 over normalized words, the best of the accepted answers and the completion (SQuAD).
// - rouge_l: F of the longest common subsequence of normalized words, the best of the same (Lin 2004).
// - refused: says that it cannot answer. Items without a schema.
// - correct_refusal: refuses, and gives no rejected answer all the same. Unanswerable items.
// - false_refusal: refuses, and gives no accepted answer all the same. Answerable items without a schema.
// - matches: the item's pattern, a regular expression, anywhere. Items that have one.
// - truncated: stopped by the token limit. All items.
//
// Besides the table, schema items get field:<name>, for each field: parsed, and equal to the reference.
std::span<const Metric> Metrics();

// Every metric that applies to the item. {"text"} items have none but `truncated`.
// Errors (kInput): a schema item whose completion is no JSON object with the schema's fields.
std::map<std::string, double> ScoreAnswer(const Answer& answer);

// The metric an item is judged by first: "exact" where it has a schema, "correct_refusal" where it is unanswerable,
// "choice" where it has choices, else "contains"; none for {"text"} items.
std::string_view PrimaryMetric(const Item& item);
// The same for a written answer, which does not say which choice is the likeliest.
std::string_view PrimaryMetricOfAnswer(const Item& item);

// A sample of this item, to be filled with output and scores.
Sample StartSample(std::string_view arm, const Item& item);

}  // namespace qad
