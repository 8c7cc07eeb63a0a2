#include "results/memory_math.h"

#include <gtest/gtest.h>

#include "base/error.h"

namespace qad {
namespace {

MemoryMath Example() {
  MemoryMath math;
  math.title = "SmolLM2-135M-Instruct";
  math.hardware = "16 GiB";
  math.parameters = 134'515'008;
  math.max_positions = 2048;
  math.fits = {{16ull << 30, "int8", "f16", 1, 2048, true, 300}};
  math.weights = {{"fp16", false, "134,515,008 × 2 B", {{"attention", "30 × …", 53'084'160}}, 269'030'016}};
  math.kv = {30,
             9,
             3,
             64,
             "30 layers × 2 × 3 × 64 × 2 B",
             "f16",
             23'040,
             69'120,
             0,
             0,
             {{"f16", 2048, 1, 47'185'920}},
             2048,
             8,
             1024,
             256,
             {{"paged", "8 × 64 blocks of 16", 188'743'680}}};
  math.machines = {{"RTX 4090", "NVIDIA", 25'757'220'864, "fits", "int8", "f16", 2048, true, 300, 5'000, 700'000, 0.4,
                    0.02, 0.0002}};
  math.budget = 16ull << 30;
  math.engine = {{"program", "measured", 20'000'000}};
  math.training_points = {{"LoRA", 512, 4, 8, true, 400'000'000}};
  math.training_fits = {{"LoRA", 8, true, 2048}};
  math.training = {{"LoRA", "r=8", {{"adapter", "", 9'768'960}}, 400'000'000}};
  math.checks = {{"weights, int8", 100, 101, 0}};
  math.notes = {"GiB are 2^30 bytes"};
  return math;
}

TEST(MemoryMath, SurvivesTheWayThroughJson) {
  const Json json = MemoryMathToJson(Example());
  EXPECT_EQ(json.at("kv").at("points").at(0).at("bytes"), 47'185'920);
  EXPECT_EQ(MemoryMathToJson(MemoryMathFromJson(ParseJson(DumpJson(json), "copy"), "copy")), json);
}

TEST(MemoryMath, WindowsBoundTheirLayersOnly) {
  KvMath kv = Example().kv;
  EXPECT_EQ(kv.bytes_at(2048), 47'185'920u);
  kv.windowed_layers = 20;
  kv.window = 512;
  EXPECT_EQ(kv.bytes_at(512), 512u * 23'040);
  EXPECT_EQ(kv.bytes_at(2048), 768u * (10 * 2048 + 20 * 512));
}

TEST(MemoryMath, NamesTheWrongField) {
  Json json = MemoryMathToJson(Example());
  json["weights"][0]["bytes"] = -1;
  try {
    MemoryMathFromJson(json, "memory_math.json");
    FAIL() << "a negative size was accepted";
  } catch (const Error& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kInput);
    EXPECT_STREQ(error.what(), "memory_math.json: weights[0]: bytes: expected a whole number from 0");
  }
}

}  // namespace
}  // namespace qad
