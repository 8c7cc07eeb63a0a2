// The program as its users run it, on a tiny random model: starting it, waiting for it, and what it left.
#pragma once

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>

#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/test_files.h"
#include "model/tiny_model.h"

extern char** environ;

namespace qad {
namespace fs = std::filesystem;

inline constexpr const char* kModel =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 401,
  "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
  "max_position_embeddings": 256, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": true})";
inline constexpr const char* kOtherModel =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 401,
  "hidden_size": 32, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
  "max_position_embeddings": 256, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": true})";
inline constexpr const char* kConfig = R"(model: model
data: {train: train.jsonl, eval: eval.jsonl, documents: [pages], max_length: 128}
adapters: {lora: {}}
train: {epochs: 2, batch_size: 4, save_every: 1}
arms: [base, base + few-shot, base + rag, int8, lora]
prompting: {few_shot: {examples: 2}}
eval: {max_new_tokens: 8, repetitions: 1, bootstrap: 100}
decide: {required: {facts: 0.5}}
)";

inline constexpr const char* kMinimal = R"(model: model
data: {train: train.jsonl, eval: eval.jsonl, max_length: 128}
eval: {max_new_tokens: 8, repetitions: 1, bootstrap: 100}
)";

inline void WriteModel(const fs::path& folder, const char* config) {
  tiny::WriteFolder(folder, config, DType::kF32);
  fs::copy_file(TestData("text/bytelevel-smollm/tokenizer.json"), folder / "tokenizer.json",
                fs::copy_options::overwrite_existing);
}

inline std::string Items(int count, const std::string& word) {
  std::string lines;
  for (int i = 0; i < count; ++i)
    lines +=
        fmt::format(R"({{"id": "{0}-{1}", "slice": "facts", "prompt": "What is {0} {1}?", "completion": "{1}{1}"}})"
                    "\n",
                    word, i);
  return lines;
}

struct Ended {
  int code = 0;
  std::string out, err;
};

class Program : public ::testing::Test {
 protected:
  void SetUp() override {
    WriteModel(folder_ / "model", kModel);
    folder_.Write("config.yaml", kConfig);
    folder_.Write("train.jsonl", Items(8, "thing"));
    folder_.Write("eval.jsonl", Items(4, "matter"));
    folder_.Write("pages/a.md", "# Matters\n\nMatter 1 is 11.\n\n# Things\n\nThing 2 is 22.\n");
  }

  pid_t Start(std::vector<std::string> words) const {
    words.insert(words.begin(), {"/bin/sh", "-c", "ulimit -f $0; exec \"$@\"", file_limit_, QAD_PROGRAM});
    words.insert(words.end(), {"--threads", "1"});
    std::vector<char*> pointers;
    for (std::string& word : words) pointers.push_back(word.data());
    pointers.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    for (const auto& [descriptor, name] : {std::pair(STDOUT_FILENO, "out.txt"), std::pair(STDERR_FILENO, "err.txt")})
      posix_spawn_file_actions_addopen(&actions, descriptor, (logs_ / name).c_str(), O_WRONLY | O_CREAT | O_TRUNC,
                                       0644);
    pid_t child = 0;
    EXPECT_EQ(::posix_spawn(&child, "/bin/sh", &actions, nullptr, pointers.data(), environ), 0);
    posix_spawn_file_actions_destroy(&actions);
    return child;
  }

  Ended Wait(pid_t child) const {
    int status = 0;
    ::waitpid(child, &status, 0);
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), FileBytes(logs_ / "out.txt"),
            FileBytes(logs_ / "err.txt")};
  }

  // `qad WORDS --config config.yaml`.
  Ended Run(std::vector<std::string> words) const {
    words.insert(words.end(), {"--config", Path("config.yaml")});
    return Wait(Start(words));
  }

  std::string Path(const char* name) const { return (folder_ / name).string(); }

  // Every file under outputs/, without what belongs to an unfinished training.
  std::map<std::string, std::string> Outputs() const {
    std::map<std::string, std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(folder_ / "outputs"))
      if (entry.is_regular_file() && entry.path().string().find("/checkpoint/") == std::string::npos)
        files[entry.path().string()] = FileBytes(entry.path());
    return files;
  }

  static void ExpectEnd(const Ended& ended, int code, const std::vector<std::string>& said) {
    EXPECT_EQ(ended.code, code) << ended.err;
    for (const std::string& part : said)
      EXPECT_NE(ended.err.find(part), std::string::npos) << part << "\n" << ended.err;
  }

  // Runs a command that must fail so, with these words on stderr, and leave outputs/ as they were.
  void ExpectFailure(const std::vector<std::string>& words, int code, const std::vector<std::string>& said) const {
    const auto before = Outputs();
    ExpectEnd(Run(words), code, said);
    EXPECT_TRUE(Outputs() == before) << "outputs have changed";
  }

  void RunWhole() const {
    const Ended ended = Run({"run"});
    ASSERT_EQ(ended.code, 0) << ended.err;
  }

  TempFolder folder_, logs_;
  std::string file_limit_ = "unlimited";
};

// Stages that were not taken from the cache: the lines of stderr that begin with "> ".
inline std::vector<std::string> StagesDone(const std::string& err) {
  std::vector<std::string> stages;
  std::istringstream lines(err);
  for (std::string line; std::getline(lines, line);)
    if (line.starts_with("> ")) stages.push_back(line.substr(2));
  return stages;
}

}  // namespace qad
