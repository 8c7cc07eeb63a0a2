#include "base/heap_bytes.h"

#include <gtest/gtest.h>
#include <malloc.h>

#include <cstdint>

namespace qad {
namespace {

#if defined(__SANITIZE_ADDRESS__)
constexpr bool kGlibcsMalloc = false;
#else
constexpr bool kGlibcsMalloc = true;
#endif

size_t InUse() {
  const struct mallinfo2 info = ::mallinfo2();
  return info.uordblks + info.hblkhd;
}

// Texts short enough to lie in their objects, and longer ones.
std::string Text(int i) { return std::string(static_cast<size_t>(i % 40), 'x') + std::to_string(i); }

template <typename Container>
void ExpectCounted(const char* what, const Container& made, size_t before) {
  const auto in_use = static_cast<double>(InUse() - before);
  EXPECT_NEAR(static_cast<double>(HeapBytes(made)), in_use, 0.01 * in_use + 64) << what;
}

TEST(HeapBytes, AreWhatMallocHandedOut) {
  if (!kGlibcsMalloc) GTEST_SKIP() << "another malloc counts otherwise";
  constexpr int kMany = 20'000;
  size_t before = InUse();
  std::vector<std::string> texts;
  for (int i = 0; i < kMany; ++i) texts.push_back(Text(i));
  ExpectCounted("texts", texts, before);

  before = InUse();
  std::unordered_map<std::string, int32_t> by_text;
  for (int i = 0; i < kMany; ++i) by_text.emplace(Text(i), i);
  ExpectCounted("map of texts", by_text, before);

  before = InUse();
  std::unordered_map<uint64_t, uint64_t> by_number;
  for (uint64_t i = 0; i < kMany; ++i) by_number.emplace(i * i, i);
  ExpectCounted("map of numbers", by_number, before);
}

TEST(HeapBytes, NothingTakesNothing) {
  EXPECT_EQ(HeapBytes(std::vector<float>()), 0u);
  EXPECT_EQ(HeapBytes(std::string("short")), 0u);
}

}  // namespace
}  // namespace qad
