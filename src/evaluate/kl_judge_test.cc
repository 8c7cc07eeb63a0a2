#include "evaluate/kl_judge.h"

#include "base/test_files.h"
#include "model/tiny_model.h"

namespace qad {
namespace {

TEST(KlJudge, TellsCopiesByTheirDistance) {
  const TempFolder folder;
  for (const auto& [name, format] : {std::pair{"model", FormatId::kF32},
                                     {"q8_0", FormatId::kQ8_0},
                                     {"q5_0", FormatId::kQ5_0},
                                     {"q4_0", FormatId::kQ4_0}})
    tiny::WriteGguf(folder / (std::string(name) + ".gguf"), format, false);
  std::vector<std::vector<TokenId>> samples;
  for (TokenId first = 0; first < 4; ++first) {
    samples.emplace_back();
    for (TokenId i = 0; i < 30; ++i) samples.back().push_back((first * 17 + i * 7) % 70);
  }
  KlJudge judge(folder / "model.gguf", samples, 2);
  const double of_itself = judge(folder / "model.gguf"), eight = judge(folder / "q8_0.gguf"),
               five = judge(folder / "q5_0.gguf"), four = judge(folder / "q4_0.gguf");
  EXPECT_LT(of_itself, eight);
  EXPECT_LT(eight, 0.3 * five);
  EXPECT_LT(five, 0.7 * four);
  EXPECT_EQ(KlJudge(folder / "model.gguf", samples, 1)(folder / "q4_0.gguf"), four);  // whatever the threads
  EXPECT_THROW(KlJudge(folder / "model.gguf", {}, 2), Error);
}

}  // namespace
}  // namespace qad
