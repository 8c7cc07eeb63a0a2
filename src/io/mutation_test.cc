// Files with a few bytes changed at random, the same ones every time: each is read or refused with an Error; nothing
// crashes, throws anything else or takes memory without end (the asan build watches).
#include <functional>

#include "base/json.h"
#include "base/random.h"
#include "base/test_files.h"
#include "io/gguf.h"
#include "io/peft.h"
#include "io/safetensors.h"

namespace qad {
namespace {

// Changes, removes, doubles or inserts bytes, mostly within the first `header` ones.
std::string Mutate(std::string bytes, size_t header, Random& random) {
  static const std::vector<std::string> kTokens = {std::string(8, '\xff'),
                                                   std::string(8, '\0'),
                                                   std::string("\x01\0\0\0\0\0\0\x80", 8),
                                                   "-1",
                                                   "1e99",
                                                   "{",
                                                   "]",
                                                   "\"",
                                                   "null",
                                                   "18446744073709551615",
                                                   "[0,0]"};
  for (uint64_t i = 0, n = 1 + random.Below(4); i < n && !bytes.empty(); ++i) {
    const size_t at = random.Below(random.Below(8) == 0 ? bytes.size() : std::min(header, bytes.size()));
    const std::string& token = kTokens[random.Below(kTokens.size())];
    switch (random.Below(6)) {
      case 0:
        bytes[at] = static_cast<char>(random.Bits());
        break;
      case 1:
        bytes[at] = static_cast<char>(bytes[at] ^ (1 << random.Below(8)));
        break;
      case 2:
        bytes.replace(at, std::min(token.size(), bytes.size() - at), token);
        break;
      case 3:
        bytes.insert(at, token);
        break;
      case 4:
        bytes.erase(at, 1 + random.Below(16));
        break;
      default:
        bytes.insert(at, bytes.substr(at, 1 + random.Below(64)));
        break;
    }
  }
  return bytes;
}

// Reads mutants of `bytes`; returns how many were refused.
int Refused(const std::string& bytes, size_t header, int trials,
            const std::function<void(const std::filesystem::path&)>& read) {
  const TempFolder folder;
  Random random(20);
  int refused = 0;
  for (int trial = 0; trial < trials; ++trial) {
    const auto path = folder.Write("mutant", Mutate(bytes, header, random));
    try {
      read(path);
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput) << "trial " << trial << ": " << error.what();
      ++refused;
    }
  }
  return refused;
}

constexpr int kTrials = 3000;

TEST(Mutation, Gguf) {
  const int refused = Refused(FileBytes(TestData("io/tiny-v3.gguf")), 1300, kTrials, [](const auto& path) {
    const GgufFile file(path);
    for (const GgufTensor& tensor : file.tensors()) {
      if (tensor.format == nullptr || tensor.bytes.empty()) continue;
      std::vector<float> row(static_cast<size_t>(tensor.shape.back()));
      tensor.format->decode_row(tensor.bytes.data(), row.data(), row.size());
    }
  });
  EXPECT_GT(refused, kTrials / 2);  // the mutants do reach the checks
  EXPECT_LT(refused, kTrials);
}

TEST(Mutation, Safetensors) {
  const int refused = Refused(FileBytes(TestData("io/reference.safetensors")), 880, kTrials, [](const auto& path) {
    const SafetensorsFile file(path);
    for (const auto& [name, entry] : file.tensors()) ToFloats(entry);
  });
  EXPECT_GT(refused, kTrials / 2);
  EXPECT_LT(refused, kTrials);
}

TEST(Mutation, PeftConfiguration) {
  const std::string bytes = FileBytes(TestData("io/peft-llama/adapter_config.json"));
  const int refused = Refused(bytes, bytes.size(), kTrials, [](const auto& path) {
    const auto folder = path.parent_path();
    std::filesystem::rename(path, folder / "adapter_config.json");
    ReadPeftConfig(folder);
  });
  EXPECT_GT(refused, kTrials / 2);
  EXPECT_LT(refused, kTrials);
}

}  // namespace
}  // namespace qad
