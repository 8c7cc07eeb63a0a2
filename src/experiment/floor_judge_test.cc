// Floors held against a model whose answers are known to be wrong.
#include "experiment/floor_judge.h"

#include "base/test_files.h"
#include "model/tiny_model.h"

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
      "model: model.gguf\ndata: {train: train.jsonl, dev: dev.jsonl, eval: eval.jsonl}\neval: {max_new_tokens: 2}\n" +
          rest));
}

TEST(FloorJudge, SaysByHowMuchTheWorstSliceFallsShort) {
  const TempFolder folder;
  FloorJudge judge(ConfigIn(folder, "decide: {required: {facts: 0}}\n"), Prompting::kZeroShot, 2);
  tiny::WriteGguf(folder / "copy.gguf", FormatId::kQ4_0, false);
  EXPECT_LE(judge(folder / "copy.gguf"), 0);
  EXPECT_GE(judge(folder / "copy.gguf"), -1);
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
