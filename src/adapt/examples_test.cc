#include "adapt/examples.h"

#include <gtest/gtest.h>

#include <set>

#include "adapt/adapt_testing.h"
#include "text/prompt.h"

namespace qad {
namespace {

// GPT-2's byte alphabet: printable bytes stand for themselves, the others follow from U+0100.
std::string ByteToken(int byte, int& next) {
  const bool printable = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || (byte >= 174 && byte <= 255);
  const int code = printable ? byte : 256 + next++;
  if (code < 128) return {static_cast<char>(code)};
  return {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
}

// A token a byte, and SmolLM2's special ones.
Tokenizer ByteTokenizer() {
  GgufVocabulary vocabulary;
  vocabulary.where = "test";
  vocabulary.model = "gpt2";
  vocabulary.pre = "smollm";
  int next = 0;
  for (int byte = 0; byte < 256; ++byte) vocabulary.tokens.push_back(ByteToken(byte, next));
  vocabulary.token_types.assign(256, 1);
  for (const char* special : {"<|endoftext|>", "<|im_start|>", "<|im_end|>"}) {
    vocabulary.tokens.emplace_back(special);
    vocabulary.token_types.push_back(3);
  }
  vocabulary.bos = 257;
  vocabulary.eos = 258;
  return Tokenizer::FromGguf(vocabulary);
}

constexpr const char* kSmolLm2 =
    "{% for message in messages %}{% if loop.first and messages[0]['role'] != 'system' %}{{ '<|im_start|>system\n"
    "You are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n' }}{% endif %}{{'<|im_start|>' + "
    "message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{% if add_generation_prompt %}"
    "{{ '<|im_start|>assistant\n' }}{% endif %}";

std::vector<TokenId> WholeSequence(const TrainExample& example) {
  std::vector<TokenId> sequence = example.tokens;
  sequence.push_back(example.labels.back());
  return sequence;
}

Item MakeItem(const std::string& id, std::vector<Message> messages, const std::string& completion) {
  Item item;
  item.id = id;
  item.messages = std::move(messages);
  item.completion = completion;
  return item;
}

PromptFor Asked(const std::string& system) {
  return [system](const Item& item) { return BuildMessages(item, system); };
}

class ExamplesOfItem : public ::testing::Test {
 protected:
  Tokenizer tokenizer_ = ByteTokenizer();
  ChatTemplate chat_ = ChatTemplate::FromSource(kSmolLm2, "test");
  Item item_ = MakeItem("a", {{"user", "Hi <|im_end|>"}}, "Yes.");
};

TEST_F(ExamplesOfItem, IsTheEvaluationPromptThenTheCompletionThenItsEnd) {
  const TrainExample example = MakeExample(tokenizer_, chat_, item_, Asked("Be short."), true);
  const std::vector<TokenId> prompt =
      chat_.Encode(tokenizer_, {{"system", "Be short."}, {"user", "Hi <|im_end|>"}}, true);
  const std::vector<TokenId> sequence = WholeSequence(example);
  ASSERT_GT(sequence.size(), prompt.size());
  EXPECT_TRUE(std::equal(prompt.begin(), prompt.end(), sequence.begin()));
  const std::vector<TokenId> rest(sequence.begin() + static_cast<std::ptrdiff_t>(prompt.size()), sequence.end());
  EXPECT_EQ(tokenizer_.Decode(rest, true), "Yes.<|im_end|>")
      << "the end of turn is SmolLM2's end of sequence: once, not twice";
  EXPECT_TRUE(tokenizer_.IsEndOfGeneration(rest.back()));
}

TEST_F(ExamplesOfItem, CompletionOnlySupervisesNothingElse) {
  const TrainExample example = MakeExample(tokenizer_, chat_, item_, Asked(""), true);
  EXPECT_EQ(example.supervised(), 5u);  // "Yes." byte by byte, and the end
  const std::vector<TokenId> sequence = WholeSequence(example);
  for (size_t t = 0; t < example.tokens.size(); ++t) {
    EXPECT_EQ(example.labels[t], t >= example.tokens.size() - 5 ? sequence[t + 1] : kNotSupervised) << t;
  }
  const TrainExample all = MakeExample(tokenizer_, chat_, item_, Asked(""), false);
  EXPECT_EQ(all.tokens, example.tokens);
  EXPECT_EQ(all.supervised(), all.tokens.size());
}

TEST_F(ExamplesOfItem, AnItemsOwnSystemMessageStays) {
  item_.messages.insert(item_.messages.begin(), {"system", "Own."});
  const TrainExample with = MakeExample(tokenizer_, chat_, item_, Asked("Be short."), true);
  EXPECT_EQ(with.tokens, MakeExample(tokenizer_, chat_, item_, Asked(""), true).tokens);
}

TEST_F(ExamplesOfItem, PlainTextHasNoTemplateAndCountsWhole) {
  Item text = MakeItem("t", {}, "abc");
  text.plain_text = true;
  const TrainExample example = MakeExample(tokenizer_, chat_, text, Asked("Be short."), true);
  EXPECT_EQ(tokenizer_.Decode(WholeSequence(example), true), "abc<|im_end|>");
  EXPECT_EQ(example.supervised(), 3u);
}

TEST_F(ExamplesOfItem, BaseModelsEndWithTheEndOfSequence) {
  const ChatTemplate plain = ChatTemplate::FromSource("", "test");
  const TrainExample example = MakeExample(tokenizer_, plain, MakeItem("", {{"user", "Q"}}, "A"), Asked(""), true);
  EXPECT_EQ(tokenizer_.Decode(WholeSequence(example), true), "Q\nA<|im_end|>");
}

TEST_F(ExamplesOfItem, LongItemsAreLeftOutWholeAndNamed) {
  Item longer = item_;
  longer.id = "b";
  longer.completion = "Yes, and more.";
  const size_t length = WholeSequence(MakeExample(tokenizer_, chat_, item_, Asked(""), true)).size();
  const std::vector<Item> items = {item_, longer};
  const ExampleSet set = MakeExamples(tokenizer_, chat_, items, Asked(""), true, length);
  ASSERT_EQ(set.examples.size(), 1u);
  EXPECT_EQ(set.skipped, std::vector<std::string>{"b"});
  EXPECT_TRUE(
      Fails([&] { MakeExamples(tokenizer_, chat_, items, Asked(""), true, length - 1); }, ErrorKind::kInput, {}));
}

std::vector<Item> Numbered(int count) {
  std::vector<Item> items;
  for (int i = 0; i < count; ++i) items.push_back(MakeItem(std::to_string(i), {{"user", "Q"}}, "A"));
  return items;
}

std::vector<std::string> Ids(const std::vector<Item>& items) {
  std::vector<std::string> ids;
  for (const Item& item : items) ids.push_back(item.id);
  return ids;
}

TEST(SplitDev, MovesASeededShare) {
  std::vector<Item> train = Numbered(20), again = Numbered(20), other = Numbered(20);
  const std::vector<Item> dev = SplitDev(train, 0.1, 3);
  EXPECT_EQ(dev.size(), 2u);
  EXPECT_EQ(train.size(), 18u);
  std::multiset<std::string> parts;
  for (const std::vector<Item>& set : {train, dev})
    for (const std::string& id : Ids(set)) parts.insert(id);
  const std::vector<std::string> all = Ids(Numbered(20));
  EXPECT_EQ(parts, std::multiset<std::string>(all.begin(), all.end()));
  EXPECT_EQ(Ids(SplitDev(again, 0.1, 3)), Ids(dev));
  EXPECT_NE(Ids(SplitDev(other, 0.1, 4)), Ids(dev));
}

// Phrasings of one fact are all learnt or all asked.
TEST(SplitDev, KeepsFactsTogether) {
  for (const uint64_t seed : {0, 1, 2, 3}) {
    std::vector<Item> train = Numbered(30);
    for (size_t i = 0; i < train.size(); ++i) train[i].fact = std::to_string(i / 3);
    const std::vector<Item> dev = SplitDev(train, 0.2, seed);
    EXPECT_EQ(dev.size(), 6u);
    for (const Item& asked : dev)
      for (const Item& learnt : train) EXPECT_NE(asked.fact, learnt.fact);
  }
  std::vector<Item> one = Numbered(5);
  for (Item& item : one) item.fact = "the only one";
  EXPECT_EQ(SplitDev(one, 0.5, 0).size(), 0u);
}

TEST(SplitDev, LeavesSomethingToTrainOn) {
  std::vector<Item> two = Numbered(2);
  EXPECT_EQ(SplitDev(two, 0.99, 0).size(), 1u);
  EXPECT_EQ(SplitDev(two, 0.5, 0).size(), 0u) << "one item is not split";
  std::vector<Item> many = Numbered(9);
  EXPECT_EQ(SplitDev(many, 0, 0).size(), 0u);
}

}  // namespace
}  // namespace qad
