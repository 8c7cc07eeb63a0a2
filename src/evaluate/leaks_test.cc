#include "evaluate/leaks.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace qad {
namespace {

Item Ask(const std::string& id, const std::string& question, const std::string& fact = "") {
  Item item;
  item.id = id;
  item.messages = {{"system", "The same for all of them, and long enough to look alike."}, {"user", question}};
  item.completion = "x";
  item.fact = fact;
  return item;
}

std::vector<Leak> Find(const std::vector<Item>& eval, const std::vector<Item>& train) {
  return FindLeaks(eval, std::vector<LeakCorpus>{LeakCorpusOf("train", train)});
}

TEST(Leaks, ExactNormalizedAndNear) {
  const std::vector<Item> train = {Ask("t1", "How long may I return a bike?"),
                                   Ask("t2", "My parcel from last Monday has not arrived, where is it now please?")};
  const auto exact = Find({Ask("e", "How long may I return a bike?")}, train);
  ASSERT_EQ(exact.size(), 1u);
  EXPECT_EQ(exact[0].kind, LeakKind::kExact);
  EXPECT_EQ(exact[0].corpus, "train");
  EXPECT_EQ(exact[0].other, "t1");
  const auto normalized = Find({Ask("e", "how long may i return the bike")}, train);
  ASSERT_EQ(normalized.size(), 1u);
  EXPECT_EQ(normalized[0].kind, LeakKind::kNormalized);
  const auto near = Find({Ask("e", "My parcel from last Monday has not arrived, where is it now?")}, train);
  ASSERT_EQ(near.size(), 1u);
  EXPECT_EQ(near[0].kind, LeakKind::kNear);
  EXPECT_EQ(near[0].other, "t2");
  // 12 of 13 different words shared; "please" is the thirteenth.
  EXPECT_DOUBLE_EQ(near[0].similarity, 12.0 / 13);
}

TEST(Leaks, DifferentQuestionsAreNone) {
  const std::vector<Item> train = {Ask("t1", "What is the return window for helmets?"), Ask("t2", "Why?")};
  EXPECT_TRUE(Find({Ask("e", "What is the return window for bikes?")}, train).empty());
  EXPECT_TRUE(Find({Ask("e", "When?")}, train).empty());
  EXPECT_TRUE(Find({}, train).empty());
  EXPECT_TRUE(Find({Ask("e", "Why?")}, {}).empty());
}

TEST(Leaks, AFactMayBeSharedItsWordingMayNot) {
  const std::string question = "From which order value on is shipping free of charge for me?";
  const std::vector<Item> train = {Ask("t", question, "f1")};
  EXPECT_TRUE(Find({Ask("e", "From which order value on is the shipping free of charge?", "f1")}, train).empty());
  EXPECT_EQ(Find({Ask("e", "From which order value on is the shipping free of charge?", "f2")}, train).size(), 1u);
  EXPECT_EQ(Find({Ask("e", "From which order value on is the shipping free of charge?")}, train).size(), 1u);
  EXPECT_EQ(Find({Ask("e", question, "f1")}, train).size(), 1u);
}

TEST(Leaks, AQuestionInsideADocument) {
  const std::vector<Chunk> chunks = {
      {"faq.md#Q", "faq.md", "Q", "Frequent: how long may I keep a rented bike? Two days.", {}}};
  const auto find = [&](const std::string& question) {
    return FindLeaks(std::vector<Item>{Ask("e", question)}, std::vector<LeakCorpus>{LeakCorpusOf("documents", chunks)});
  };
  const auto found = find("How long may I keep a rented bike?");
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].kind, LeakKind::kNormalized);
  EXPECT_EQ(found[0].other, "faq.md#Q");
  EXPECT_TRUE(find("Two days").empty()) << "too short to be a leak";
  EXPECT_TRUE(find("How long may I keep a borrowed bike?").empty());
}

// Answers and passages of training items are read by the model, too.
TEST(Leaks, AQuestionInsideWhatTrainingItemsHoldBesideTheirs) {
  Item answer = Ask("t1", "Write me a riddle."), passage = Ask("t2", "And what is that?");
  answer.completion = "Here is one: how long may I return a bike? Think.";
  passage.passages = {{.id = "page", .text = "People ask where they can have a wheel trued. In the workshop."}};
  const std::vector<LeakCorpus> corpora = {RestOf("train", std::vector<Item>{answer, passage})};
  const std::vector<Item> eval = {Ask("e1", "How long may I return a bike?"),
                                  Ask("e2", "Where can they have a wheel trued?"),
                                  Ask("e3", "Where they can have a wheel trued")};
  const auto leaks = FindLeaks(eval, corpora);
  ASSERT_EQ(leaks.size(), 2u);
  EXPECT_EQ(leaks[0].item, "e1");
  EXPECT_EQ(leaks[0].other, "t1");
  EXPECT_EQ(leaks[1].item, "e3");
  EXPECT_EQ(leaks[1].other, "t2");
}

TEST(Leaks, ThePromptsFormDoesNotCount) {
  // One long instruction before many short tickets: only the tickets tell items apart.
  const std::string form =
      "Read the following ticket with care and answer with one word that names its category, please. Ticket number ";
  const char* const words[] = {"brake", "bell", "wheel", "saddle", "chain", "pedal",
                               "lamp",  "lock", "frame", "fork",   "tyre",  "grip"};
  std::vector<Item> eval, train;
  for (size_t i = 0; i < 12; ++i)
    for (size_t j = 0; j < 2; ++j) {
      const std::string ticket = fmt::format("{}{} near {} squeaks beside {}", form, words[i], words[(i + 3 + j) % 12],
                                             words[(i + 7 + j) % 12]);
      (j == 0 ? eval : train).push_back(Ask(fmt::format("i{}", i), ticket));
    }
  while (eval.size() < 24)
    eval.push_back(Ask(fmt::format("e{}", eval.size()), fmt::format("{}something else {}", form, eval.size())));
  EXPECT_TRUE(Find(eval, train).empty());
  train.push_back(eval[5]);
  ASSERT_EQ(Find(eval, train).size(), 1u);
  EXPECT_EQ(Find(eval, train)[0].item, "i5");
}

}  // namespace
}  // namespace qad
