// Tiny models and batches of testdata/models for this room's tests.
#pragma once

#include <unistd.h>

#include <filesystem>
#include <memory>
#include <string>

#include "adapt/examples.h"
#include "base/error.h"
#include "base/json.h"
#include "base/random.h"
#include "model/transformer.h"

namespace qad {

inline std::filesystem::path TestModelFolder(const std::string& name) {
  return std::filesystem::path(QAD_TESTDATA) / "models" / name;
}

inline Transformer LoadTestModel(const std::string& name, WeightMode mode = WeightMode::kF32) {
  const ModelFiles files = OpenModel(TestModelFolder(name));
  return Transformer(std::make_shared<Weights>(PlanOf(files, mode), files));
}

inline Json TestModelGolden(const std::string& name) { return ReadJsonFile(TestModelFolder(name) / "golden.json"); }

// The golden's packed batch, a sequence an example.
inline ExampleSet GoldenExamples(const Json& golden) {
  const auto tokens = golden["batch"]["tokens"].get<std::vector<TokenId>>();
  const auto labels = golden["batch"]["labels"].get<std::vector<TokenId>>();
  ExampleSet set;
  std::ptrdiff_t at = 0;
  for (const auto length : golden["batch"]["lengths"].get<std::vector<std::ptrdiff_t>>()) {
    set.examples.push_back({.tokens = {tokens.begin() + at, tokens.begin() + at + length},
                            .labels = {labels.begin() + at, labels.begin() + at + length}});
    at += length;
  }
  return set;
}

// Seeded random sequences of 4 … 15 tokens, every position supervised but the last.
inline ExampleSet RandomExamples(size_t count, TokenId vocab, uint64_t seed) {
  ExampleSet set;
  for (size_t i = 0; i < count; ++i) {
    Random random(seed, i);
    TrainExample example;
    const size_t length = 4 + random.Below(12);
    for (size_t t = 0; t < length; ++t)
      example.tokens.push_back(static_cast<TokenId>(random.Below(static_cast<uint64_t>(vocab))));
    example.labels.assign(example.tokens.begin() + 1, example.tokens.end());
    example.labels.push_back(kNotSupervised);
    set.examples.push_back(std::move(example));
  }
  return set;
}

// A folder of its own for one test, removed with it.
class TestFolder {
 public:
  TestFolder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "qad-adapt-XXXXXX").string();
    path_ = ::mkdtemp(pattern.data());
  }
  ~TestFolder() { std::filesystem::remove_all(path_); }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

// The kind and message of the Error that `action` throws; kind 0 where it throws none.
template <typename Action>
std::pair<int, std::string> ErrorOf(const Action& action) {
  try {
    action();
  } catch (const Error& error) {
    return {error.exit_code(), error.what()};
  }
  return {0, ""};
}

}  // namespace qad
