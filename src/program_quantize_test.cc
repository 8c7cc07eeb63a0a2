// `qad quantize` and `qad perplexity` as their users run them: what one makes the other reads, and what an interrupted
// or failed run leaves.
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "program_testing.h"

namespace qad {
namespace {

class QuantizeProgram : public Program {
 protected:
  void SetUp() override {
    Program::SetUp();
    folder_.Write("texts.jsonl", Items(40, "thing"));
    // Judged on what is calibrated with: the model is random, and only there feedback must show.
    for (const char* name : {"texts.txt", "held-out.txt"}) folder_.Write(name, Items(40, "matter"));
    ASSERT_EQ(::setenv("QAD_CACHE", Path("cache").c_str(), 1), 0);
  }
  void TearDown() override { ::unsetenv("QAD_CACHE"); }

  // `qad quantize model --json WORDS`.
  Ended Quantize(std::vector<std::string> words) const {
    words.insert(words.begin(), {"quantize", Path("model"), "--json"});
    return Wait(Start(words));
  }

  Json Made(const std::vector<std::string>& words) const {
    const Ended ended = Quantize(words);
    EXPECT_EQ(ended.code, 0) << ended.err;
    return ended.code == 0 ? ParseJson(ended.out, "quantize") : Json();
  }

  Ended Perplexity(const std::string& model, int context = 64) const {
    return Wait(Start({"perplexity", model, "--reference", Path("model"), "--reference-format", "f32", "--context",
                       std::to_string(context), "--exact", "--json", "--file", Path("held-out.txt")}));
  }

  double Divergence(const std::string& model) const {
    const Ended ended = Perplexity(model);
    EXPECT_EQ(ended.code, 0) << ended.err;
    return ended.code == 0 ? ParseJson(ended.out, "perplexity")["kl_divergence"].get<double>() : -1;
  }

  std::string Calibration() const { return Path("texts.txt"); }
};

TEST_F(QuantizeProgram, WhatIsMadeIsReadAndScored) {
  struct Case {
    const char* output;
    std::vector<std::string> words;
    double most;  // KL divergence from f32: a few times what rounding to nearest costs this model
  };
  constexpr double kFourBits = 0.05, kEightBits = 1e-3;
  const std::string texts = Calibration();
  const std::vector<Case> cases = {
      {"int8", {"--method", "int8"}, kEightBits},
      {"rtn", {"--method", "rtn", "--group-size", "32"}, kFourBits},
      {"gptq", {"--method", "gptq", "--group-size", "32", "--calibration", texts}, kFourBits},
      {"awq", {"--method", "awq", "--group-size", "32", "--calibration", texts}, kFourBits},
      {"awq-gptq", {"--method", "awq-gptq", "--group-size", "32", "--calibration", texts}, kFourBits},
      {"packed", {"--method", "rtn", "--group-size", "32", "--layout", "compressed-tensors"}, kFourBits},
      {"nf4", {"--method", "nf4"}, kFourBits},
      {"q8.gguf", {"--method", "gguf", "--type", "q8_0"}, kEightBits},
      {"q4.gguf", {"--method", "gguf", "--type", "Q4_0", "--calibration", texts}, kFourBits},
      {"q4-fed.gguf", {"--method", "gguf", "--type", "Q4_0", "--calibration", texts, "--error-feedback"}, kFourBits},
      {"auto.gguf", {"--method", "auto", "--budget", "90kB", "--calibration", texts}, kFourBits}};
  std::map<std::string, double> divergences;
  for (const Case& c : cases) {
    std::vector<std::string> words = c.words;
    words.insert(words.end(), {"--output", Path(c.output)});
    const Json report = Made(words);
    ASSERT_TRUE(report.is_object()) << c.output;
    EXPECT_GT(report["seconds"].get<double>(), 0) << c.output;
    EXPECT_GT(report["peak_rss_bytes"].get<uint64_t>(), report["bytes"].get<uint64_t>()) << c.output;
    const fs::path weights =
        fs::is_directory(Path(c.output)) ? fs::path(Path(c.output)) / "model.safetensors" : fs::path(Path(c.output));
    EXPECT_EQ(report["bytes"].get<uint64_t>(), fs::file_size(weights)) << c.output;
    EXPECT_FALSE(report["errors"].empty()) << c.output;
    const double divergence = divergences[c.output] = Divergence(Path(c.output));
    EXPECT_GT(divergence, 0) << c.output << ": nothing was rounded";
    EXPECT_LT(divergence, c.most) << c.output;
    EXPECT_FALSE(fs::exists(Path(c.output) + ".layers")) << c.output;
  }
  EXPECT_LT(divergences["gptq"], divergences["rtn"]);
  EXPECT_LT(divergences["q4-fed.gguf"], divergences["q4.gguf"]);
  EXPECT_LE(fs::file_size(Path("auto.gguf")), 90000u);
}

TEST_F(QuantizeProgram, AnImportanceMatrixIsTheCalibrationItWasMadeOf) {
  Made({"--method", "gguf", "--type", "Q4_K_M", "--calibration", Calibration(), "--save-imatrix", Path("saved.gguf"),
        "--output", Path("calibrated.gguf")});
  Made({"--method", "gguf", "--type", "Q4_K_M", "--imatrix", Path("saved.gguf"), "--output", Path("read.gguf")});
  Made({"--method", "gguf", "--type", "Q4_K_M", "--output", Path("plain.gguf")});
  // What is read is a sum divided by its count again: a mean may differ in its last bit, a few codes with it.
  const std::string calibrated = FileBytes(Path("calibrated.gguf"));
  const auto share_alike = [&](const std::string& other) {
    size_t same = 0;
    for (size_t i = 0; i < std::min(calibrated.size(), other.size()); ++i) same += calibrated[i] == other[i] ? 1 : 0;
    return static_cast<double>(same) / static_cast<double>(calibrated.size());
  };
  EXPECT_EQ(calibrated.size(), fs::file_size(Path("read.gguf")));
  EXPECT_GT(share_alike(FileBytes(Path("read.gguf"))), 0.9999);
  EXPECT_LT(share_alike(FileBytes(Path("plain.gguf"))), 0.9);
}

TEST_F(QuantizeProgram, WhatCannotBeDoneIsSaidAndLeavesNothing) {
  ExpectEnd(Quantize({"--method", "gptq", "--output", Path("out")}), 2, {"--calibration must name texts"});
  ExpectEnd(Quantize({"--method", "gptq", "--calibration", Path("none.jsonl"), "--output", Path("out")}), 3,
            {"none.jsonl"});
  ExpectEnd(Quantize({"--method", "rtn", "--group-size", "128", "--output", Path("out")}), 3, {"128", "64"});
  ExpectEnd(Quantize({"--method", "int8", "--output", Path("model")}), 2, {"the source itself"});
  ExpectEnd(Quantize({"--method", "int8", "--output", Path("pages")}), 2, {"not replaced"});
  EXPECT_FALSE(fs::exists(Path("out")));
  EXPECT_TRUE(fs::exists(Path("pages/a.md")));

  ExpectEnd(Perplexity(Path("none")), 3, {"none"});
  ExpectEnd(Perplexity(Path("model"), 300), 3, {"300", "256 positions"});
  folder_.Write("held-out.txt", "too short");
  ExpectEnd(Perplexity(Path("model")), 3, {"held-out.txt", "fewer than one window of 64"});
}

TEST_F(QuantizeProgram, AFullDiskLeavesNoHalfOfAnArtefact) {
  Made({"--method", "int8", "--output", Path("int8")});
  const std::string before = FileBytes(Path("int8/model.safetensors"));
  file_limit_ = "80";  // blocks of 512 bytes: a tokenizer or header fits, the weights behind it do not
  ASSERT_LT(fs::file_size(Path("model/tokenizer.json")), 80u * 512);
  ExpectEnd(Quantize({"--method", "int8", "--output", Path("int8")}), 1, {"int8"});
  ExpectEnd(Quantize({"--method", "gguf", "--type", "Q8_0", "--output", Path("q8.gguf")}), 1, {"q8.gguf"});
  ExpectEnd(
      Quantize({"--method", "gptq", "--group-size", "32", "--calibration", Calibration(), "--output", Path("gptq")}), 1,
      {"gptq"});
  EXPECT_TRUE(FileBytes(Path("int8/model.safetensors")) == before);
  for (const auto& entry : fs::directory_iterator(folder_.path())) {
    const std::string name = entry.path().filename();
    const bool temporary = name.find(".tmp") != std::string::npos || name.find(".qad-") != std::string::npos;
    EXPECT_FALSE(name.starts_with("q8") || name == "gptq" || temporary) << name;
  }
  file_limit_ = "unlimited";
  Made({"--method", "gptq", "--group-size", "32", "--calibration", Calibration(), "--output", Path("gptq")});
}

// Ctrl-C leaves finished layers, from which the next run goes on to the very same artefact.
TEST_F(QuantizeProgram, CtrlCKeepsFinishedLayers) {
  std::string deep = kModel;
  const std::string layers = "\"num_hidden_layers\": 2";
  deep.replace(deep.find(layers), layers.size(), "\"num_hidden_layers\": 24");
  fs::remove_all(Path("model"));
  WriteModel(folder_ / "model", deep.c_str());
  folder_.Write("texts.txt", Items(400, "thing"));
  for (const std::vector<std::string>& method : {std::vector<std::string>{"--method", "gptq", "--group-size", "32"},
                                                 {"--method", "gguf", "--type", "Q4_0", "--error-feedback"}}) {
    const auto words = [&](const char* output) {
      std::vector<std::string> all = {"quantize",      Path("model"), "--json",
                                      "--calibration", Calibration(), "--calibration-samples",
                                      "400",           "--output",    Path(output)};
      all.insert(all.end(), method.begin(), method.end());
      return all;
    };
    const pid_t child = Start(words("cut"));
    const fs::path first = Path("cut.layers/layer-0.safetensors");
    for (int i = 0; i < 20000 && !fs::exists(first); ++i) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    ::kill(child, SIGINT);
    ExpectEnd(Wait(child), 130, {});
    ASSERT_TRUE(fs::exists(first)) << method[1];
    EXPECT_FALSE(fs::exists(Path("cut"))) << method[1];
    fs::copy(Path("cut.layers"), Path("touched.layers"));
    const auto made = [&](const char* name) {
      const Ended ended = Wait(Start(words(name)));
      EXPECT_EQ(ended.code, 0) << ended.err;
      EXPECT_FALSE(fs::exists(Path(name) + ".layers")) << method[1];
      return FileBytes(fs::is_directory(Path(name)) ? Path(name) + "/model.safetensors" : Path(name));
    };
    const std::string whole = made("whole");
    EXPECT_TRUE(made("cut") == whole) << method[1];
    // That the kept layers are what it goes on from: one byte of them is another.
    std::string kept = FileBytes(Path("touched.layers/layer-0.safetensors"));
    kept[kept.size() - 4] ^= 1;
    folder_.Write("touched.layers/layer-0.safetensors", kept);
    EXPECT_FALSE(made("touched") == whole) << method[1] << ": its first layer was made again";
    for (const char* name : {"cut", "whole", "touched"}) fs::remove_all(Path(name));
  }
}

}  // namespace
}  // namespace qad
