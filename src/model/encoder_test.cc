#include "model/encoder.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/files.h"
#include "base/test_files.h"
#include "base/testing.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

const fs::path kTiny = TestData("models/bert-tiny");

void ExpectGolden(const std::string& model, const fs::path& golden_file, Context& context, double tolerance) {
  Encoder encoder(model);
  const Json golden = ReadJsonFile(golden_file);
  const auto texts = golden["texts"].get<std::vector<std::string>>();
  std::vector<float> vectors(texts.size() * encoder.width());
  encoder.Embed(context, texts, vectors.data());
  for (size_t i = 0; i < texts.size(); ++i) {
    EXPECT_EQ(encoder.Tokens(texts[i]), golden["ids"][i].get<std::vector<TokenId>>()) << texts[i];
    const std::vector<float> got(vectors.begin() + static_cast<std::ptrdiff_t>(i * encoder.width()),
                                 vectors.begin() + static_cast<std::ptrdiff_t>((i + 1) * encoder.width()));
    EXPECT_TRUE(AllClose(got, golden["vectors"][i].get<std::vector<float>>(), tolerance)) << texts[i];
  }
}

TEST(Encoder, GivesTheReferencesVectors) {
  Context exact(Numerics::kExact, 2);
  ExpectGolden(kTiny.string(), kTiny / "golden.json", exact, 2e-6);
}

TEST(Encoder, RealMiniLmIsWithinATenThousandth) {
  const fs::path place = CacheFolder() / "models" / "all-minilm-l6-v2";
  if (!fs::exists(place)) GTEST_SKIP() << place << " is absent; scripts/fetch-model all-minilm-l6-v2 brings it";
  Context exact(Numerics::kExact, 2);
  for (const bool parts : {false, true}) {
    exact.f32_in_parts = parts;
    ExpectGolden("all-minilm-l6-v2", TestData("minilm_golden.json"), exact, 1e-4);
  }
}

// Beside others, alone, or on other threads: few texts, which all threads work at, and so many that each has its own.
TEST(Encoder, AVectorIsItsTextsAlone) {
  Encoder encoder(kTiny.string());
  const auto few = ReadJsonFile(kTiny / "golden.json")["texts"].get<std::vector<std::string>>();
  std::vector<std::string> many;
  while (many.size() < 300) many.insert(many.end(), few.begin(), few.end());
  Context one(Numerics::kExact, 1), three(Numerics::kExact, 3);
  one.f32_in_parts = three.f32_in_parts = true;
  for (const std::vector<std::string>& texts : {few, many}) {
    std::vector<float> all(texts.size() * encoder.width()), again(all.size()), alone(encoder.width());
    encoder.Embed(one, texts, all.data());
    encoder.Embed(three, texts, again.data());
    EXPECT_EQ(again, all);
    for (size_t i = 0; i < texts.size(); ++i) {
      encoder.Embed(one, {&texts[i], 1}, alone.data());
      const std::vector<float> beside(all.begin() + static_cast<std::ptrdiff_t>(i * encoder.width()),
                                      all.begin() + static_cast<std::ptrdiff_t>((i + 1) * encoder.width()));
      ASSERT_TRUE(AllClose(alone, beside, 1e-6)) << texts[i];
    }
  }
}

TEST(Encoder, OtherModelsAreRefused) {
  const auto error = [](const std::string& model) -> std::string {
    try {
      Encoder encoder(model);
    } catch (const Error& caught) {
      EXPECT_EQ(caught.kind(), ErrorKind::kInput);
      return caught.what();
    }
    return "none";
  };
  EXPECT_NE(error("no-such-embedder").find("no such model"), std::string::npos);
  const TempFolder folder;
  fs::copy(kTiny, folder / "bert", fs::copy_options::recursive);
  EXPECT_EQ(error((folder / "bert").string()), "none");
  folder.Write("bert/1_Pooling/config.json", R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false})");
  EXPECT_NE(error((folder / "bert").string()).find("pooling_mode_cls_token"), std::string::npos);
  folder.Write("bert/modules.json", R"([{"idx": 0, "path": "", "type": "sentence_transformers.models.Dense"}])");
  EXPECT_NE(error((folder / "bert").string()).find("Dense"), std::string::npos);
  folder.Write("bert/config.json", FileBytes(TestData("models/llama-gqa/config.json")));
  EXPECT_NE(error((folder / "bert").string()).find("is no encoder"), std::string::npos);
}

}  // namespace
}  // namespace qad
