#include "evaluate/metrics.h"

#include <gtest/gtest.h>

#include <set>

#include "base/error.h"

namespace qad {
namespace {

using Strings = std::vector<std::string>;

Item Fact(Strings accept, Strings reject = {}) {
  Item item;
  item.id = "f1";
  item.slice = "facts/changed";
  item.messages = {{"user", "How long?"}};
  item.completion = accept.front();
  item.accept = std::move(accept);
  item.reject = std::move(reject);
  return item;
}

Item Ticket() {
  Item item;
  item.id = "t1";
  item.messages = {{"user", "My parcel is lost."}};
  item.completion = R"({"category": "delivery", "priority": "high"})";
  item.schema = {{"category", {"delivery", "returns"}}, {"priority", {"low", "high"}}};
  return item;
}

Item Unanswerable() {
  Item item;
  item.id = "u1";
  item.messages = {{"user", "Do you sell boats?"}};
  item.completion = "Sorry, the handbook does not say.";
  item.answerable = false;
  return item;
}

double Score(const Item& item, const std::string& output, const std::string& metric) {
  const std::vector<Item> dataset = {Unanswerable()};
  const Strings refusals = RefusalSentences(dataset);
  const auto scores = ScoreAnswer({.item = item, .output = output, .refusals = refusals});
  return scores.contains(metric) ? scores.at(metric) : -1;
}

TEST(Contains, WholeWordsOnly) {
  const Item item = Fact({"30 days"});
  EXPECT_EQ(Score(item, "You have 30 days.", "contains"), 1);
  EXPECT_EQ(Score(item, "You have 30 Days!", "contains"), 1);
  EXPECT_EQ(Score(item, "A 30-days window", "contains"), 1);
  EXPECT_EQ(Score(item, "130 days", "contains"), 0);
  EXPECT_EQ(Score(item, "30 daysies", "contains"), 0);
  EXPECT_EQ(Score(item, "1.30 days", "contains"), 0);
  EXPECT_EQ(Score(item, "30 working days", "contains"), 0);
  EXPECT_EQ(Score(item, "", "contains"), 0);
  EXPECT_EQ(Score(item, "130 days, no: 30 days", "contains"), 1);
}

TEST(Contains, NumbersKeepTheirValue) {
  EXPECT_EQ(Score(Fact({"1,000 euros"}), "It is 1000 euros", "contains"), 1);
  EXPECT_EQ(Score(Fact({"1.5 kg"}), "Up to 1.5 kg.", "contains"), 1);
  EXPECT_EQ(Score(Fact({"5 kg"}), "Up to 1.5 kg.", "contains"), 0);
  EXPECT_EQ(Score(Fact({"13:30"}), "Until 13:30.", "contains"), 1);
}

TEST(Contains, ARejectedAnswerSpoilsIt) {
  const Item item = Fact({"75 euros"}, {"59 euros"});
  EXPECT_EQ(Score(item, "75 euros", "contains"), 1);
  EXPECT_EQ(Score(item, "59 euros, now 75 euros", "contains"), 0);
  EXPECT_EQ(Score(item, "59 euros, now 75 euros", "stale"), 1);
  EXPECT_EQ(Score(item, "159 euros", "stale"), 0);
  EXPECT_EQ(Score(item, "none", "stale"), 0);
  EXPECT_EQ(Score(Fact({"x"}), "x", "stale"), -1) << "nothing rejected is listed";
}

TEST(Contains, ARejectedAnswerInsideAnAcceptedOneIsNone) {
  const Item item = Fact({"Premium Plus"}, {"Premium"});
  EXPECT_EQ(Score(item, "It is Premium Plus.", "contains"), 1);
  EXPECT_EQ(Score(item, "Premium Plus, formerly Premium", "contains"), 0);
  // The other way round the longer, rejected one stands.
  EXPECT_EQ(Score(Fact({"30 days"}, {"30 days after delivery"}), "30 days after delivery", "contains"), 0);
  EXPECT_EQ(Score(Fact({"30 days"}, {"30 days"}), "30 days", "contains"), 0);
}

TEST(Contains, TheCompletionWhereNothingIsListed) {
  Item item = Fact({"x"});
  item.accept.clear();
  item.completion = "The red one.";
  EXPECT_EQ(Score(item, "I think the red one", "contains"), 1);
  EXPECT_EQ(Score(item, "The redone", "contains"), 0);
}

TEST(Contains, AnAnswerOfPunctuationNeverMatches) { EXPECT_EQ(Score(Fact({"..."}), "What...", "contains"), 0); }

TEST(Exact, ByteForByte) {
  Item item = Fact({"30 days", "thirty days"});
  item.completion = "It is 30 days.";
  for (const char* output : {"30 days", "thirty days", "It is 30 days.", " \t30 days\r\n"})
    EXPECT_EQ(Score(item, output, "exact"), 1) << output;
  for (const char* output : {"", "30 days.", "30  days", "Thirty days", "The 30 days", "It is 30 days"})
    EXPECT_EQ(Score(item, output, "exact"), 0) << output;
  EXPECT_EQ(Score(Fact({" x\n"}), "x", "exact"), 1);
}

TEST(Normalized, EqualityAfterNormalizing) {
  const Item item = Fact({"30 days", "thirty days"});
  EXPECT_EQ(Score(item, "30 days", "normalized"), 1);
  EXPECT_EQ(Score(item, "The 30 days.", "normalized"), 1);
  EXPECT_EQ(Score(item, "Thirty days", "normalized"), 1);
  EXPECT_EQ(Score(item, "It is 30 days", "normalized"), 0);
}

TEST(Schema, RightAnswer) {
  const std::string right = R"( {"priority":"high", "category":"delivery"}
 )";
  for (const char* metric : {"json_valid", "schema_valid", "exact", "field:category", "field:priority"})
    EXPECT_EQ(Score(Ticket(), right, metric), 1) << metric;
  EXPECT_EQ(Score(Ticket(), right, "contains"), -1);
  EXPECT_EQ(Score(Ticket(), right, "refused"), -1);
}

TEST(Schema, ValidButWrong) {
  const std::string wrong = R"({"category": "returns", "priority": "high"})";
  EXPECT_EQ(Score(Ticket(), wrong, "schema_valid"), 1);
  EXPECT_EQ(Score(Ticket(), wrong, "exact"), 0);
  EXPECT_EQ(Score(Ticket(), wrong, "field:category"), 0);
  EXPECT_EQ(Score(Ticket(), wrong, "field:priority"), 1);
}

TEST(Schema, WhatIsNotValid) {
  for (const char* output :
       {"", "delivery", "```json\n{\"category\": \"delivery\", \"priority\": \"high\"}\n```",
        "Here: {\"category\": \"delivery\", \"priority\": \"high\"}",
        "{\"category\": \"delivery\", \"priority\": \"high\"} Done.", "{\"category\": \"delivery\"}",
        "{\"category\": \"delivery\", \"priority\": \"urgent\"}",
        "{\"category\": \"delivery\", \"priority\": \"High\"}",
        "{\"category\": \"delivery\", \"priority\": \"high\", \"note\": \"x\"}",
        "{\"category\": [\"delivery\"], \"priority\": \"high\"}",
        "[{\"category\": \"delivery\", \"priority\": \"high\"}]", "{\"category\": \"delivery\", \"priority\": \"high\"",
        "{\"category\": \"delivery\", \"category\": \"delivery\", \"priority\": \"high\"}",
        "{\"category\": \"delivery\", \"priority\": \"high\"}{}", "{'category': 'delivery', 'priority': 'high'}",
        "null", "\xFF"}) {
    EXPECT_EQ(Score(Ticket(), output, "schema_valid"), 0) << output;
    EXPECT_EQ(Score(Ticket(), output, "exact"), 0) << output;
  }
}

TEST(Schema, JsonIsValidWhateverItsFields) {
  for (const char* output : {"{}", "[]", " \n{\"note\": \"x\"}\t", R"([{"category": "delivery"}, 1])"}) {
    EXPECT_EQ(Score(Ticket(), output, "json_valid"), 1) << output;
    EXPECT_EQ(Score(Ticket(), output, "schema_valid"), 0) << output;
  }
  for (const char* output :
       {"", "null", "3", "\"delivery\"", "delivery", "```json\n{}\n```", "```\n[]\n```", "Here: {}", "{} Done.", "{}{}",
        "[1,]", "{\"category\": \"delivery\"", "{'a': 1}", "{\"a\": NaN}", "{\"a\": 1, \"a\": 2}", "{\"a\": \"\xFF\"}"})
    EXPECT_EQ(Score(Ticket(), output, "json_valid"), 0) << output;
  EXPECT_EQ(Score(Ticket(), std::string("{}\0", 3), "json_valid"), 0) << "a NUL behind it";
  EXPECT_EQ(Score(Fact({"{}"}), "{}", "json_valid"), -1) << "no schema";
}

TEST(Schema, FieldsCountWhereTheRestIsWrong) {
  EXPECT_EQ(Score(Ticket(), R"({"category": "delivery", "note": "x"})", "field:category"), 1);
  EXPECT_EQ(Score(Ticket(), R"({"category": "delivery", "note": "x"})", "field:priority"), 0);
  EXPECT_EQ(Score(Ticket(), R"(category: delivery)", "field:category"), 0);
}

TEST(Schema, TypesCount) {
  Item item = Ticket();
  item.completion = R"({"stars": 3, "text": "fine"})";
  item.schema = {{"stars", {"1", "2", "3"}}, {"text", {}}};
  EXPECT_EQ(Score(item, R"({"stars": 3, "text": "fine"})", "exact"), 1);
  EXPECT_EQ(Score(item, R"({"stars": 2, "text": "anything"})", "schema_valid"), 1);
  EXPECT_EQ(Score(item, R"({"stars": "3", "text": "fine"})", "schema_valid"), 0);
  EXPECT_EQ(Score(item, R"({"stars": "3", "text": "fine"})", "field:stars"), 0);
}

TEST(Schema, AWrongReferenceNamesTheItem) {
  Item item = Ticket();
  item.completion = R"({"category": "sales", "priority": "high"})";
  try {
    Score(item, "{}", "exact");
    FAIL() << "no error";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    EXPECT_NE(std::string(error.what()).find("item t1"), std::string::npos);
  }
}

TEST(Matches, IsTheItemsPattern) {
  Item item = Fact({"30 days"});
  item.pattern = R"(\b30\b.*\bdays?\b)";
  EXPECT_EQ(Score(item, "You have 30 whole days.", "matches"), 1);
  EXPECT_EQ(Score(item, "You have 130 days.", "matches"), 0);
  EXPECT_EQ(Score(item, "\xFF 30 days", "matches"), 1) << "bytes that are no text";
}

TEST(TokenF1, AsSquad) {
  const Item item = Fact({"red bike bell"});
  EXPECT_EQ(Score(item, "the red bike bell", "token_f1"), 1);
  EXPECT_DOUBLE_EQ(Score(item, "red red", "token_f1"), 2 * 1.0 / 5);  // a word counts as often as the reference has it
  EXPECT_DOUBLE_EQ(Score(item, "a bell, red", "token_f1"), 2 * 2.0 / 5);
  EXPECT_EQ(Score(item, "", "token_f1"), 0);
  EXPECT_EQ(Score(Fact({"x y", "blue"}), "Blue", "token_f1"), 1);  // the best of the accepted answers
  // The order counts: of "bell red bike" two words stand in it as in the reference.
  EXPECT_EQ(Score(item, "the red bike bell", "rouge_l"), 1);
  EXPECT_DOUBLE_EQ(Score(item, "bell red bike", "rouge_l"), 2 * 2.0 / 6);
  EXPECT_DOUBLE_EQ(Score(item, "red red", "rouge_l"), 2 * 1.0 / 5);
  EXPECT_EQ(Score(item, "", "rouge_l"), 0);
  EXPECT_EQ(Score(Fact({"x y", "blue"}), "Blue", "rouge_l"), 1);
}

TEST(Refused, SentencesAndPhrases) {
  for (const char* output : {"Sorry, the handbook does not say.", "sorry the handbook does not say", "I don't know.",
                             "I don\xE2\x80\x99t know", "Unfortunately I cannot answer that.",
                             "There is no information about boats in the text."}) {
    EXPECT_EQ(Score(Unanswerable(), output, "refused"), 1) << output;
    EXPECT_EQ(Score(Unanswerable(), output, "correct_refusal"), 1) << output;
    EXPECT_EQ(Score(Fact({"30 days"}), output, "false_refusal"), 1) << output;
  }
  for (const char* output :
       {"", "Yes, we sell boats.", "Refunds are not provided in cash.", "Say sorry to the handbook."}) {
    EXPECT_EQ(Score(Unanswerable(), output, "correct_refusal"), 0) << output;
    EXPECT_EQ(Score(Fact({"30 days"}), output, "false_refusal"), 0) << output;
  }
}

TEST(Refused, ARefusalThatAnswersAllTheSameIsNotCorrect) {
  Item item = Unanswerable();
  item.reject = {"40 euros"};
  EXPECT_EQ(Score(item, "I don't know, maybe 40 euros.", "refused"), 1);
  EXPECT_EQ(Score(item, "I don't know, maybe 40 euros.", "correct_refusal"), 0);
}

TEST(Refused, AHedgedRightAnswerIsNoFalseRefusal) {
  EXPECT_EQ(Score(Fact({"30 days"}), "I'm not sure, but it should be 30 days.", "refused"), 1);
  EXPECT_EQ(Score(Fact({"30 days"}), "I'm not sure, but it should be 30 days.", "false_refusal"), 0);
}

std::set<std::string> NamesFor(const Item& item) {
  std::set<std::string> names;
  for (const auto& [name, score] : ScoreAnswer({.item = item, .output = "", .refusals = {}})) names.insert(name);
  return names;
}

TEST(Metrics, FollowFromTheItemsFields) {
  using Names = std::set<std::string>;
  EXPECT_EQ(NamesFor(Fact({"x"}, {"y"})), (Names{"contains", "stale", "exact", "normalized", "token_f1", "rouge_l",
                                                 "refused", "false_refusal", "truncated"}));
  EXPECT_EQ(NamesFor(Ticket()),
            (Names{"json_valid", "schema_valid", "exact", "field:category", "field:priority", "truncated"}));
  EXPECT_EQ(NamesFor(Unanswerable()), (Names{"refused", "correct_refusal", "truncated"}));
  Item text;
  text.plain_text = true;
  text.completion = "Some text.";
  EXPECT_EQ(NamesFor(text), (Names{"truncated"}));
}

TEST(Metrics, TruncationIsReported) {
  const Item item = Fact({"x"});
  EXPECT_EQ(ScoreAnswer({.item = item, .output = "x", .truncated = true, .refusals = {}}).at("truncated"), 1);
}

TEST(PrimaryMetric, ByWhatTheItemIs) {
  EXPECT_EQ(PrimaryMetric(Ticket()), "exact");
  EXPECT_EQ(PrimaryMetric(Fact({"x"})), "contains");
  EXPECT_EQ(PrimaryMetric(Unanswerable()), "correct_refusal");
  Item text;
  text.plain_text = true;
  EXPECT_EQ(PrimaryMetric(text), "");
  Item choice = Fact({"x"});
  choice.choices = {"x", "y"};
  EXPECT_EQ(PrimaryMetric(choice), "choice");
  EXPECT_EQ(PrimaryMetricOfAnswer(choice), "contains");
}

TEST(StartSample, ClustersByFact) {
  Item item = Fact({"x"});
  EXPECT_EQ(StartSample("base", item).cluster, "f1");
  item.fact = "fact-9";
  item.overlap = "low";
  const Sample sample = StartSample("base", item);
  EXPECT_EQ(sample.cluster, "fact-9");
  EXPECT_EQ(sample.slice, "facts/changed");
  EXPECT_EQ(sample.overlap, "low");
  EXPECT_EQ(sample.expected, "x");
}

}  // namespace
}  // namespace qad
