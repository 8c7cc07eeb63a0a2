#include "adapt/schedule.h"

#include <gtest/gtest.h>

namespace qad {
namespace {

// transformers 5.23.0: [s(i) for i in range(10)], s = get_*_schedule_with_warmup(optimizer, 3, 10).lr_lambdas[0].
constexpr double kLinear[] = {0.0,
                              0.3333333333333333,
                              0.6666666666666666,
                              1.0,
                              0.8571428571428571,
                              0.7142857142857143,
                              0.5714285714285714,
                              0.42857142857142855,
                              0.2857142857142857,
                              0.14285714285714285};
constexpr double kCosine[] = {0.0,
                              0.3333333333333333,
                              0.6666666666666666,
                              1.0,
                              0.9504844339512095,
                              0.8117449009293668,
                              0.6112604669781572,
                              0.38873953302184283,
                              0.18825509907063326,
                              0.04951556604879048};
constexpr double kConstant[] = {0.0, 0.3333333333333333, 0.6666666666666666, 1, 1, 1, 1, 1, 1, 1};

TEST(Schedule, EqualsTransformers) {
  for (int64_t step = 0; step < 10; ++step) {
    EXPECT_DOUBLE_EQ(ScheduleFactor(Schedule::kLinear, step, 3, 10), kLinear[step]) << step;
    EXPECT_NEAR(ScheduleFactor(Schedule::kCosine, step, 3, 10), kCosine[step], 1e-15) << step;  // cos of another libm
    EXPECT_DOUBLE_EQ(ScheduleFactor(Schedule::kConstant, step, 3, 10), kConstant[step]) << step;
  }
}

TEST(Schedule, WarmupRoundsUp) {
  EXPECT_EQ(WarmupSteps(0, 100), 0);
  EXPECT_EQ(WarmupSteps(0.03, 100), 3);
  EXPECT_EQ(WarmupSteps(0.03, 101), 4);
}

TEST(Schedule, WithoutWarmupBeginsAtFullRate) {
  for (const Schedule schedule : {Schedule::kConstant, Schedule::kLinear, Schedule::kCosine})
    EXPECT_EQ(ScheduleFactor(schedule, 0, 0, 7), 1.0);
}

TEST(Schedule, AllWarmupHasNoDivisionByZero) {
  for (const Schedule schedule : {Schedule::kConstant, Schedule::kLinear, Schedule::kCosine})
    for (int64_t step = 0; step < 5; ++step)
      EXPECT_EQ(ScheduleFactor(schedule, step, 5, 5), static_cast<double>(step) / 5);
}

}  // namespace
}  // namespace qad
