#include "text/unicode.h"

#include <gtest/gtest.h>

namespace qad {
namespace {

// Expected by Python: bytes.decode("utf-8", "replace").
TEST(Utf8, ReplacesEachMaximalPart) {
  const std::string r = "\uFFFD";
  EXPECT_EQ(ReplaceInvalidUtf8("plain é 漢 😀"), "plain é 漢 😀");
  EXPECT_EQ(ReplaceInvalidUtf8("\x80"), r);
  EXPECT_EQ(ReplaceInvalidUtf8("\xC0\x80"), r + r);  // overlong
  EXPECT_EQ(ReplaceInvalidUtf8("\xE2\x82"), r);      // cut off
  EXPECT_EQ(ReplaceInvalidUtf8("\xE2\x82z"), r + "z");
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x9F\x98"), r);
  EXPECT_EQ(ReplaceInvalidUtf8("\xED\xA0\x80"), r + r + r);          // a surrogate
  EXPECT_EQ(ReplaceInvalidUtf8("\xF4\x90\x80\x80"), r + r + r + r);  // beyond U+10FFFF
  EXPECT_EQ(ReplaceInvalidUtf8("\xF0\x80\x80\x80"), r + r + r + r);
}

TEST(Utf8, EveryCodePointGoesThere) {
  for (uint32_t code = 0; code < 0x110000; ++code) {
    std::string text;
    AppendUtf8(code, text);
    ASSERT_EQ(IsValidUtf8(text), code < 0xD800 || code > 0xDFFF) << code;
  }
}

TEST(LowerCase, BeyondAscii) { EXPECT_EQ(LowerCase("ÄÖÜ ΑΒΓ ЖЩ İx"), "äöü αβγ жщ ix"); }

TEST(NormalizeAnswer, ComparesWhatMatters) {
  EXPECT_EQ(NormalizeAnswer("  The Quick,  brown-fox! "), "quick brown fox");
  EXPECT_EQ(NormalizeAnswer("It costs $1,000.50."), "it costs $1000.50");
  EXPECT_EQ(NormalizeAnswer("don’t don't"), "dont dont");
  EXPECT_EQ(NormalizeAnswer("“30 days” — café…"), "30 days café");
  EXPECT_EQ(NormalizeAnswer("v1.2.3"), "v1.2.3");
  EXPECT_EQ(NormalizeAnswer("a an the"), "");
  EXPECT_EQ(NormalizeAnswer("x\u00a0y\tz\n"), "x y z");
  EXPECT_EQ(NormalizeAnswer(""), "");
}

}  // namespace
}  // namespace qad
