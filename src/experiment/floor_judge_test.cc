// Floors held against a model whose answers are known to be wrong.
#include "experiment/floor_judge.h"

#include "base/test_files.h"
#include "experiment/prompts.h"
#include "model/generation.h"
#include "model/tiny_model.h"
#include "text/unicode.h"

namespace qad {
namespace {

constexpr const char* kItems =
    R"({"prompt": "A", "completion": "B", "slice": "facts/stable"}
{"prompt": "C", "completion": "D", "slice": "facts/changed"}
)";

Config ConfigIn(const TempFolder& folder, const std::string& rest) {
  tiny::WriteGguf(folder / "model.gguf", FormatId::kF32, false);
  for (const char* name : {"train.jsonl", "dev.jsonl", "eval.jsonl"}) folder.Write(name, kItems);
  return LoadConfig(folder.Write(
      "config.yaml",
      "model: model.gguf\ndata: {train: train.jsonl, dev: dev.jsonl, eval: eval.jsonl}\neval: {max_new_tokens: 16}\n" +
          rest));
}

// What the model says of a question, as an evaluation asks it.
std::string AnswerOf(const Config& config, const std::string& question) {
  Workspace workspace(config, {}, 2, true);
  Model& model = workspace.models.Get("bf16");
  Item item;
  item.messages = {{"user", question}};
  const ArmConfig arm{.name = "base", .adapter = {}};
  const std::vector<std::vector<TokenId>> prompts{PromptMaker(workspace, nullptr).Make(model, arm, item).tokens};
  GenerateOptions options;
  options.max_new_tokens = config.eval.max_new_tokens;
  return model.tokenizer.Decode(
      Generate(workspace.context, model.transformer, model.tokenizer, prompts, options).front().tokens);
}

// Two items, of which the model says what is asked of it for one alone.
TEST(FloorJudge, SaysByHowMuchTheWorstSliceFallsShort) {
  const TempFolder folder;
  const Config config = ConfigIn(folder, "decide: {required: {facts: 0.4}}\n");
  const std::string answer = AnswerOf(config, "A");
  ASSERT_FALSE(NormalizeAnswer(answer).empty()) << answer;
  const Json right = {{"prompt", "A"}, {"completion", answer}, {"slice", "facts"}},
             wrong = {{"prompt", "C"}, {"completion", "no model says this"}, {"slice", "facts"}};
  folder.Write("dev.jsonl", right.dump() + "\n" + wrong.dump() + "\n");
  FloorJudge judge(config, Prompting::kZeroShot, 2);
  tiny::WriteGguf(folder / "copy.gguf", FormatId::kF32, false);
  EXPECT_NEAR(judge(folder / "copy.gguf"), 0.4 - 0.5, 1e-12);
}

TEST(FloorJudge, FloorsThatCannotBeHeldAgainstAnything) {
  const TempFolder folder;
  const auto error = [&](const std::string& rest) -> std::string {
    try {
      FloorJudge(ConfigIn(folder, rest), Prompting::kZeroShot, 2);
    } catch (const Error& caught) {
      EXPECT_EQ(caught.kind(), ErrorKind::kUsage);
      return caught.what();
    }
    return "";
  };
  EXPECT_NE(error("").find("decide.required"), std::string::npos);
  EXPECT_NE(error("decide: {required: {tickets: 0}}\n").find("'tickets'"), std::string::npos);
  EXPECT_NE(error("decide: {required: {facts: 1}}\n").find("its floor at 1.00"), std::string::npos);
}

}  // namespace
}  // namespace qad
