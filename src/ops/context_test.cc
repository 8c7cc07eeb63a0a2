#include "ops/context.h"

#include <gtest/gtest.h>
#include <omp.h>

#include <cstdlib>
#include <thread>

#include "base/error.h"
#include "kernels/targets.h"

namespace qad {
namespace {

std::string Environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

// ctest runs this program again with these variables set (src/CMakeLists.txt).
TEST(Context, EnvironmentLimitsTheInstructionSet) {
  const std::string forced = Environment("QAD_ISA"), limit = Environment("ONEDNN_MAX_CPU_ISA");
  const Context context;
  if (!forced.empty()) {
    EXPECT_EQ(CurrentTarget(), forced);
  }
  if (limit == "AVX2" || (!forced.empty() && forced != "AMX" && forced != "AVX3")) {
    EXPECT_FALSE(context.has_bf16) << "bf16 products would throw, or defeat the limit";
  }
}

TEST(Context, UnsupportedTargetIsAUsageError) {
  const std::string before = Environment("QAD_ISA");
  setenv("QAD_ISA", "NEON", 1);
  try {
    const Context context;
    ADD_FAILURE() << "NEON was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kUsage);
    EXPECT_NE(std::string(error.what()).find("NEON"), std::string::npos);
  }
  if (before.empty())
    unsetenv("QAD_ISA");
  else
    setenv("QAD_ISA", before.c_str(), 1);
}

TEST(Context, ThreadsAreThoseAskedFor) {
  EXPECT_EQ(Context(Numerics::kExact, 3).threads, 3);
  EXPECT_EQ(omp_get_max_threads(), 3);
  EXPECT_EQ(Context(Numerics::kExact).threads, omp_get_num_procs());
}

TEST(Context, ScratchGrowsAndIsCounted) {
  Context context;
  float* small = context.Scratch(Context::Slot::kPanel, 10);
  small[9] = 1;
  EXPECT_EQ(context.Scratch(Context::Slot::kPanel, 5), small);
  EXPECT_NE(context.Scratch(Context::Slot::kResults, 5), small);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(small) % 64, 0u);
  constexpr size_t kPadding = 2 * 64;  // of two buffers, to begin at a cache line
  EXPECT_EQ(context.scratch_bytes(), 15 * sizeof(float) + kPadding);
  context.Scratch(Context::Slot::kPanel, 1000)[999] = 1;
  EXPECT_EQ(context.scratch_bytes(), 1005 * sizeof(float) + kPadding);
}

TEST(Context, TimersAddUp) {
  Context context;
  {
    const ScopedTimer timer(context, Timed::kNorm);
    std::this_thread::sleep_for(std::chrono::microseconds(100));
  }
  EXPECT_GE(context.seconds[static_cast<size_t>(Timed::kNorm)], 1e-4);
  context.ResetTimers();
  EXPECT_EQ(context.seconds[static_cast<size_t>(Timed::kNorm)], 0);
  EXPECT_EQ(TimedName(Timed::kLoss), "loss");
}

}  // namespace
}  // namespace qad
