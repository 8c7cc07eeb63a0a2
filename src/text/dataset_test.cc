// Each form, and each way in which a line can be wrong: the error names file and line.
#include "text/dataset.h"

#include "base/test_files.h"
#include "text/prompt.h"

namespace qad {
namespace {

std::vector<Item> Load(std::string_view text) {
  const TempFolder folder;
  return LoadDataset(folder.Write("d.jsonl", text));
}

::testing::AssertionResult Refused(std::string_view text, const std::vector<std::string_view>& parts) {
  return Fails([&] { Load(text); }, ErrorKind::kInput, parts);
}

TEST(Dataset, Forms) {
  const std::vector<Item> items = Load(
      R"({"text": "just text"}
{"prompt": "p", "completion": "c"}
{"prompt": "p", "completion": "c", "system": "s"}
{"messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}, {"role": "assistant", "content": "a"}]}
{"instruction": "do", "input": "this", "output": "done"}
{"instruction": "do", "input": "", "output": "done", "text": "as Stanford renders it"}
)");
  ASSERT_EQ(items.size(), 6u);
  EXPECT_TRUE(items[0].plain_text);
  EXPECT_TRUE(items[0].messages.empty());
  EXPECT_EQ(items[0].completion, "just text");
  EXPECT_EQ(items[0].id, "line-1");
  EXPECT_EQ(items[1].messages.at(0).role, "user");
  EXPECT_EQ(items[1].messages.at(0).content, "p");
  EXPECT_EQ(items[1].completion, "c");
  EXPECT_EQ(items[2].messages.at(0).role, "system");
  EXPECT_EQ(items[2].messages.at(1).content, "p");
  EXPECT_EQ(items[3].messages.size(), 2u);
  EXPECT_EQ(items[3].completion, "a");
  EXPECT_EQ(items[4].messages.at(0).content, "do\n\nthis");
  EXPECT_EQ(items[5].messages.at(0).content, "do");
  EXPECT_EQ(items[5].line, 6);
}

TEST(Dataset, AnItemMayWantNoSystemMessage) {
  const std::vector<Item> items = Load(
      R"({"prompt": "p", "completion": "c", "system": null}
{"prompt": "p", "completion": "c", "system": ""}
{"prompt": "p", "completion": "c", "system": "own"}
)");
  EXPECT_EQ(BuildMessages(items.at(0), "of all").front().role, "user");
  EXPECT_EQ(BuildMessages(items.at(1), "of all").front().content, "of all");
  EXPECT_EQ(BuildMessages(items.at(2), "of all").front().content, "own");
}

TEST(Dataset, Scoring) {
  const std::vector<Item> items = Load(
      R"({"id": "i", "slice": "facts/stable", "prompt": "p", "completion": "c", "accept": ["a", "b"], "reject": ["x"], "answerable": false, "schema": {"city": ["Bern", "bern"]}, "fact": "f", "source": "p.md#H", "overlap": "low", "passages": [{"id": "q", "text": "t"}], "retrieve": false})");
  const Item& item = items.at(0);
  EXPECT_EQ(item.id, "i");
  EXPECT_EQ(item.slice, "facts/stable");
  EXPECT_EQ(item.accept, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(item.reject, std::vector<std::string>{"x"});
  EXPECT_FALSE(item.answerable);
  EXPECT_EQ(item.schema.at("city").size(), 2u);
  EXPECT_EQ(item.fact, "f");
  EXPECT_EQ(item.source, "p.md#H");
  EXPECT_EQ(item.overlap, "low");
  EXPECT_EQ(item.passages.at(0).text, "t");
  EXPECT_FALSE(item.retrieve);
}

TEST(Dataset, BomLineEndsAndBlankLines) {
  const std::vector<Item> items = Load("\xEF\xBB\xBF{\"text\": \"a\"}\r\n\r\n  \t\r\n{\"text\": \"b\\r\\n\"}");
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].completion, "a");
  EXPECT_EQ(items[1].completion, "b\r\n");
  EXPECT_EQ(items[1].line, 4);
}

TEST(Dataset, LinesThatAreNoJson) {
  EXPECT_TRUE(Refused("", {"d.jsonl: holds no items"}));
  EXPECT_TRUE(Refused("\n\n", {"d.jsonl: holds no items"}));
  EXPECT_TRUE(Refused("{\"text\": \"a\"}\n{\"text\": \"b", {"d.jsonl:2: not valid JSON"}));
  EXPECT_TRUE(Refused("{\"text\": \"a\"}\n[1]\n", {"d.jsonl:2: expected a JSON object, found array"}));
  EXPECT_TRUE(Refused("{\"text\": \"a\"} {\"text\": \"b\"}\n", {"d.jsonl:1: not valid JSON"}));
  EXPECT_TRUE(Refused("{\"text\": \"a\"}\n{\"text\": \"\xff\"}\n", {"d.jsonl:2: not valid UTF-8"}));
  EXPECT_TRUE(Refused(std::string_view("{\"text\": \"a\"}\n\n{\"text\": \"\0\"}\n", 29), {"d.jsonl:3: a NUL byte"}));
  EXPECT_TRUE(Refused("{\"text\": \"a\", \"text\": \"b\"}\n", {"d.jsonl:1: duplicate key \"text\""}));
}

TEST(Dataset, WrongForms) {
  EXPECT_TRUE(Refused("{}\n", {"d.jsonl:1: none of the known forms", "{prompt, completion}"}));
  EXPECT_TRUE(Refused(R"({"question": "q"})", {"d.jsonl:1: unknown key \"question\"; it is called \"prompt\" here"}));
  EXPECT_TRUE(Refused(R"({"prompt": "p"})", {"d.jsonl:1: \"completion\" is missing"}));
  EXPECT_TRUE(Refused(R"({"prompt": 5, "completion": "c"})", {"d.jsonl:1: \"prompt\" is 5; expected a string"}));
  EXPECT_TRUE(Refused(R"({"prompt": "p", "completion": ""})", {"d.jsonl:1: the answer (completion) is empty"}));
  EXPECT_TRUE(Refused(R"({"prompt": "p", "completion": "c", "text": "t"})", {"d.jsonl:1", "exclude each other"}));
  EXPECT_TRUE(Refused(R"({"instruction": "i"})", {"d.jsonl:1: \"output\" is missing"}));
  EXPECT_TRUE(Refused(R"({"text": ""})", {"d.jsonl:1", "is empty"}));
}

TEST(Dataset, WrongMessages) {
  EXPECT_TRUE(Refused(R"({"messages": []})", {"d.jsonl:1: \"messages\" must be a list that is not empty"}));
  EXPECT_TRUE(Refused(R"({"messages": "x"})", {"d.jsonl:1: \"messages\" must be a list"}));
  EXPECT_TRUE(Refused(R"({"messages": [5]})", {"d.jsonl:1: messages: expected a JSON object"}));
  EXPECT_TRUE(Refused(R"({"messages": [{"role": "tool", "content": "x"}]})", {"d.jsonl:1: role \"tool\""}));
  EXPECT_TRUE(Refused(R"({"messages": [{"role": "user", "content": "x"}]})",
                      {"d.jsonl:1: the last message must be the assistant's"}));
  EXPECT_TRUE(Refused(R"({"messages": [{"role": "assistant", "content": "x"}]})",
                      {"d.jsonl:1: \"messages\" has an answer but no question"}));
  EXPECT_TRUE(Refused(R"({"messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": null}]})",
                      {"d.jsonl:1: messages: \"content\" is null"}));
  EXPECT_TRUE(Refused(
      R"({"system": "s", "messages": [{"role": "user", "content": "x"}, {"role": "assistant", "content": "y"}]})",
      {"d.jsonl:1: \"system\" and \"messages\""}));
}

TEST(Dataset, WrongScoring) {
  const auto with = [](std::string_view field) {
    return fmt::format(R"({{"prompt": "p", "completion": "c", {}}})", field);
  };
  EXPECT_TRUE(Refused(with(R"("accept": "x")"), {"d.jsonl:1: \"accept\" must be a list of strings"}));
  EXPECT_TRUE(Refused(with(R"("accept": [""])"), {"d.jsonl:1: \"accept\" must hold strings that are not empty"}));
  EXPECT_TRUE(Refused(with(R"("reject": [1])"), {"d.jsonl:1: \"reject\""}));
  EXPECT_TRUE(Refused(with(R"("answerable": "no")"), {"d.jsonl:1: \"answerable\" is \"no\"; expected true or false"}));
  EXPECT_TRUE(Refused(with(R"("schema": {})"), {"d.jsonl:1: \"schema\" has no fields"}));
  EXPECT_TRUE(Refused(with(R"("schema": {"a": "b"})"), {"d.jsonl:1: schema: \"a\" must be a list"}));
  EXPECT_TRUE(Refused(with(R"("passages": [{"id": "x"}])"), {"d.jsonl:1: passages: \"text\" is missing"}));
  EXPECT_TRUE(Refused(with(R"("id": 5)"), {"d.jsonl:1: \"id\" is 5; expected a string"}));
  EXPECT_TRUE(Refused("{\"id\": \"a\", \"text\": \"x\"}\n{\"id\": \"a\", \"text\": \"y\"}\n",
                      {"d.jsonl:2: id \"a\" was used before"}));
}

TEST(Dataset, ChoicesHoldTheAnswer) {
  const auto with = [](std::string_view choices) {
    return fmt::format(R"({{"prompt": "p", "completion": "c", "choices": {}}})", choices);
  };
  EXPECT_EQ(Load(with(R"(["a", "c"])"))[0].choices, (std::vector<std::string>{"a", "c"}));
  EXPECT_TRUE(Refused(with(R"(["a", "b"])"), {"d.jsonl:1: the answer \"c\" is none of its \"choices\""}));
  EXPECT_TRUE(Refused(with(R"(["c"])"), {"d.jsonl:1: \"choices\" must be two"}));
  EXPECT_TRUE(Refused(with(R"(["c", "c"])"), {"d.jsonl:1: \"choices\" must be two"}));
  EXPECT_TRUE(Refused(R"({"text": "t", "choices": ["t", "u"]})", {"d.jsonl:1: \"choices\" belong to a question"}));
}

TEST(Item, IsLookedUpWhereItAsksInWordsAndBringsNoPassages) {
  Item item;
  EXPECT_TRUE(item.IsLookedUp());
  item.schema = {{"kind", {"a"}}};
  EXPECT_FALSE(item.IsLookedUp());
  item = {};
  item.passages = {{"a.md", "Brakes."}};
  EXPECT_FALSE(item.IsLookedUp());
  item = {};
  item.retrieve = false;
  EXPECT_FALSE(item.IsLookedUp());
  item = {};
  item.plain_text = true;
  EXPECT_FALSE(item.IsLookedUp());
}

TEST(Item, IsResampledWithItsFact) {
  Item item;
  item.id = "q1";
  EXPECT_EQ(item.Cluster(), "q1");
  item.fact = "price";
  EXPECT_EQ(item.Cluster(), "price");
}

}  // namespace
}  // namespace qad
