#include "evaluate/baselines.h"

#include <algorithm>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "base/json.h"
#include "evaluate/logistic.h"
#include "evaluate/metrics.h"
#include "evaluate/schema.h"
#include "evaluate/tfidf.h"
#include "retrieve/prompt.h"

namespace qad {
namespace {

std::string Question(const Item& item) { return std::string(QuestionOf(item)); }

// One field to predict: the training questions that have it, and their values.
struct FieldData {
  std::vector<std::string> questions;
  std::vector<Json> values;
};

using FieldPredictor = std::function<Json(const std::string& question)>;
using MakePredictor = FieldPredictor (*)(const FieldData& data);

FieldPredictor Majority(const FieldData& data) {
  std::map<Json, int> counts;
  for (const Json& value : data.values) ++counts[value];
  const auto most =
      std::max_element(counts.begin(), counts.end(), [](auto& a, auto& b) { return a.second < b.second; });
  return [value = most->first](const std::string&) { return value; };
}

FieldPredictor Logistic(const FieldData& data) {
  const auto features = std::make_shared<TfIdf>(data.questions);
  std::vector<Json> classes = data.values;
  std::sort(classes.begin(), classes.end());
  classes.erase(std::unique(classes.begin(), classes.end()), classes.end());
  std::vector<SparseVector> rows;
  std::vector<int> labels;
  for (size_t i = 0; i < data.values.size(); ++i) {
    rows.push_back(features->Transform(data.questions[i]));
    labels.push_back(
        static_cast<int>(std::lower_bound(classes.begin(), classes.end(), data.values[i]) - classes.begin()));
  }
  const auto model =
      std::make_shared<LogisticRegression>(rows, labels, features->columns(), static_cast<int>(classes.size()));
  return [=](const std::string& question) {
    return classes[static_cast<size_t>(model->Predict(features->Transform(question)))];
  };
}

std::map<std::string, FieldData> CollectFields(std::span<const Item> train) {
  std::map<std::string, FieldData> fields;
  for (const Item& item : train) {
    if (item.schema.empty()) continue;
    const Json reference = SchemaReference(item);
    for (const auto& [field, value] : reference.items()) {
      fields[field].questions.push_back(Question(item));
      fields[field].values.push_back(value);
    }
  }
  return fields;
}

Sample Score(std::string_view arm, const Item& item, std::string output, std::span<const std::string> refusals) {
  Sample sample = StartSample(arm, item);
  sample.scores = ScoreAnswer({.item = item, .output = output, .refusals = refusals});
  sample.output = std::move(output);
  return sample;
}

void PredictFields(std::string_view arm, MakePredictor make, std::span<const Item> train, std::span<const Item> eval,
                   std::vector<Sample>& samples) {
  std::map<std::string, FieldPredictor> predictors;
  for (const auto& [field, data] : CollectFields(train)) predictors[field] = make(data);
  for (const Item& item : eval) {
    const bool known = std::all_of(item.schema.begin(), item.schema.end(),
                                   [&](const auto& field) { return predictors.contains(field.first); });
    if (item.schema.empty() || !known) continue;
    Json output = Json::object();
    for (const auto& [field, allowed] : item.schema) output[field] = predictors[field](Question(item));
    samples.push_back(Score(arm, item, output.dump(), {}));
  }
}

void AnswerAsNearest(std::span<const Item> train, std::span<const Item> eval, std::vector<Sample>& samples) {
  std::vector<std::string> questions, answers;
  for (const Item& item : train) {
    if (item.plain_text || !item.schema.empty()) continue;
    questions.push_back(Question(item));
    answers.push_back(item.completion);
  }
  if (questions.empty()) return;
  const TfIdf features(questions);
  std::vector<SparseVector> rows;
  for (const std::string& question : questions) rows.push_back(features.Transform(question));
  const std::vector<std::string> refusals = RefusalSentences(train);
  for (const Item& item : eval) {
    if (item.plain_text || !item.schema.empty()) continue;
    const SparseVector asked = features.Transform(QuestionOf(item));
    double best = 0;
    std::string answer;
    for (size_t i = 0; i < rows.size(); ++i)
      if (const double similarity = Dot(asked, rows[i]); similarity > best) {
        best = similarity;
        answer = answers[i];
      }
    samples.push_back(Score(kNearestArm, item, answer, refusals));
  }
}

}  // namespace

std::vector<Sample> ModelFreeBaselines(std::span<const Item> train, std::span<const Item> eval) {
  std::vector<Sample> samples;
  PredictFields(kMajorityArm, Majority, train, eval, samples);
  PredictFields(kLogisticArm, Logistic, train, eval, samples);
  AnswerAsNearest(train, eval, samples);
  return samples;
}

std::vector<ArmInfo> BaselineArms(std::span<const Sample> samples) {
  std::vector<ArmInfo> arms;
  for (const std::string_view name : kBaselineArms) {
    if (std::none_of(samples.begin(), samples.end(), [&](const Sample& sample) { return sample.arm == name; }))
      continue;
    ArmInfo arm;
    arm.name = name;
    arm.weights = "none";
    arm.baseline = true;
    arms.push_back(arm);
  }
  return arms;
}

}  // namespace qad
