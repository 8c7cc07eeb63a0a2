#include "evaluate/baselines.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "base/json.h"
#include "evaluate/logistic.h"
#include "evaluate/tfidf.h"

namespace qad {
namespace {

TEST(TfIdf, AsDefined) {
  const std::vector<std::string> texts = {"red bell", "red brake red", "blue"};
  const TfIdf features(texts);
  EXPECT_EQ(features.columns(), 4);  // bell blue brake red
  const double rare = std::log(4.0 / 2) + 1, common = std::log(4.0 / 3) + 1;
  const SparseVector row = features.Transform("Red, red BRAKE unknown");
  ASSERT_EQ(row.size(), 2u);
  const double length = std::hypot(rare, 2 * common);
  EXPECT_EQ(row[0].first, 2);
  EXPECT_NEAR(row[0].second, rare / length, 1e-12);
  EXPECT_NEAR(row[1].second, 2 * common / length, 1e-12);
  EXPECT_NEAR(Dot(row, row), 1, 1e-12);
  EXPECT_TRUE(features.Transform("nothing known").empty());
  EXPECT_EQ(Dot(features.Transform("bell"), features.Transform("blue")), 0);
}

// testdata/make_statistics_goldens.py: TfidfVectorizer and LogisticRegression, defaults.
TEST(LogisticRegression, AsScikitLearn) {
  const Json golden = ReadJsonFile(QAD_TESTDATA "/statistics/logistic.json");
  const auto classes = golden["classes"].get<std::vector<std::string>>();
  const auto label = [&](const Json& row) {
    return static_cast<int>(std::find(classes.begin(), classes.end(), row["label"].get<std::string>()) -
                            classes.begin());
  };
  std::vector<std::string> texts;
  std::vector<int> labels;
  for (const Json& row : golden["train"]) {
    texts.push_back(row["text"]);
    labels.push_back(label(row));
  }
  const TfIdf features(texts);
  std::vector<SparseVector> rows;
  for (const std::string& text : texts) rows.push_back(features.Transform(text));
  const LogisticRegression model(rows, labels, features.columns(), static_cast<int>(classes.size()));
  double right = 0;
  for (size_t i = 0; i < golden["test"].size(); ++i) {
    const Json& row = golden["test"][i];
    const SparseVector x = features.Transform(row["text"].get<std::string>());
    const std::vector<double> got = model.Probabilities(x);
    // Both minimize a strictly convex function; the golden is printed with six digits.
    for (size_t c = 0; c < classes.size(); ++c) EXPECT_NEAR(got[c], golden["probabilities"][i][c].get<double>(), 1e-4);
    right += model.Predict(x) == label(row) ? 1 : 0;
  }
  EXPECT_NEAR(right / static_cast<double>(golden["test"].size()), golden["accuracy"].get<double>(), 0.01);
}

Item Ticket(const std::string& id, const std::string& text, const std::string& category) {
  Item item;
  item.id = id;
  item.slice = "behaviour";
  item.messages = {{"system", "Sort it."}, {"user", text}};
  item.completion = Json{{"category", category}}.dump();
  item.schema = {{"category", {"delivery", "returns"}}};
  return item;
}

Item Fact(const std::string& id, const std::string& question, const std::string& answer) {
  Item item;
  item.id = id;
  item.slice = "facts";
  item.messages = {{"user", question}};
  item.completion = answer;
  item.accept = {answer};
  return item;
}

std::vector<Sample> OfArm(const std::vector<Sample>& samples, std::string_view arm) {
  std::vector<Sample> out;
  std::copy_if(samples.begin(), samples.end(), std::back_inserter(out), [&](const Sample& s) { return s.arm == arm; });
  return out;
}

const std::vector<Item> kTrain = {
    Ticket("t1", "parcel lost", "delivery"),     Ticket("t2", "parcel late", "delivery"),
    Ticket("t3", "parcel courier", "delivery"),  Ticket("t4", "send back refund", "returns"),
    Ticket("t5", "refund label", "returns"),     Fact("a", "How long is the warranty?", "two years"),
    Fact("b", "What colour is the bell?", "red")};

TEST(Baselines, EachDoesItsOwnItems) {
  const std::vector<Item> eval = {
      Ticket("e1", "where is my parcel", "delivery"), Ticket("e2", "a refund please", "returns"),
      Fact("e3", "For how long does the warranty last?", "two years"), Fact("e4", "Zebra?", "no")};
  const std::vector<Sample> samples = ModelFreeBaselines(kTrain, eval);
  const auto majority = OfArm(samples, "majority"), logistic = OfArm(samples, "tfidf-logreg"),
             nearest = OfArm(samples, "nearest-question");
  ASSERT_EQ(majority.size(), 2u);
  EXPECT_EQ(majority[0].scores.at("exact"), 1);
  EXPECT_EQ(majority[1].scores.at("exact"), 0);
  EXPECT_EQ(majority[1].scores.at("schema_valid"), 1);
  EXPECT_EQ(majority[1].output, R"({"category":"delivery"})");
  ASSERT_EQ(logistic.size(), 2u);
  EXPECT_EQ(logistic[0].scores.at("field:category"), 1);
  EXPECT_EQ(logistic[1].scores.at("field:category"), 1);
  ASSERT_EQ(nearest.size(), 2u);
  EXPECT_EQ(nearest[0].output, "two years");
  EXPECT_EQ(nearest[0].scores.at("contains"), 1);
  EXPECT_EQ(nearest[1].output, "");
  EXPECT_EQ(nearest[1].scores.at("contains"), 0);
  EXPECT_EQ(nearest[1].slice, "facts");
}

TEST(Baselines, WithoutAnythingToLearnFromThereIsNone) {
  const std::vector<Item> eval = {Ticket("e1", "parcel", "delivery"), Fact("e2", "Warranty?", "two years")};
  EXPECT_TRUE(ModelFreeBaselines({}, eval).empty());
  EXPECT_TRUE(ModelFreeBaselines(kTrain, {}).empty());
  const std::vector<Item> facts(kTrain.begin() + 5, kTrain.end());
  const std::vector<Sample> samples = ModelFreeBaselines(facts, eval);
  ASSERT_EQ(samples.size(), 1u);
  EXPECT_EQ(samples[0].arm, "nearest-question");
  const std::vector<ArmInfo> arms = BaselineArms(samples);
  ASSERT_EQ(arms.size(), 1u);
  EXPECT_EQ(arms[0].name, "nearest-question");
  EXPECT_TRUE(arms[0].baseline);
}

TEST(Baselines, AreDeterministic) {
  const std::vector<Item> eval = {Ticket("e1", "parcel refund", "delivery")};
  const auto once = ModelFreeBaselines(kTrain, eval), again = ModelFreeBaselines(kTrain, eval);
  ASSERT_EQ(once.size(), again.size());
  for (size_t i = 0; i < once.size(); ++i) EXPECT_EQ(once[i].output, again[i].output);
}

}  // namespace
}  // namespace qad
