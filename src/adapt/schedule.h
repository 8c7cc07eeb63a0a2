// Learning-rate schedules with linear warm-up, as transformers' get_constant_schedule_with_warmup,
// get_linear_schedule_with_warmup and get_cosine_schedule_with_warmup (half a cosine) define them.
#pragma once

#include <cstdint>

#include "adapt/options.h"

namespace qad {

// ⌈ratio · total⌉ steps, as transformers' TrainingArguments.
int64_t WarmupSteps(double ratio, int64_t total_steps);

// Factor of the learning rate at optimizer step `step` = 0, 1, …, total − 1. Warm-up begins at 0: the first step of a
// schedule with warm-up moves nothing, as in the reference.
double ScheduleFactor(Schedule schedule, int64_t step, int64_t warmup_steps, int64_t total_steps);

}  // namespace qad
