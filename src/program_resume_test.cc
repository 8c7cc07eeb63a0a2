// `qad train --resume` after SIGKILL: wherever it struck, the training goes on from the last good checkpoint and ends
// with the same bytes as one that was never killed.
#include <algorithm>
#include <cctype>
#include <chrono>
#include <csignal>
#include <set>
#include <span>
#include <thread>

#include "base/random.h"
#include "io/peft.h"
#include "program_testing.h"
#include "program_tracing.h"

namespace qad {
namespace {

using tracing::FileCall;
using tracing::Traced;

// Six steps with a checkpoint after each but the last, and a validation after every third. Validated on answers that
// the training leads away from, it is the first adapter that is best.
constexpr const char* kTraining = R"(model: model
data: {train: train.jsonl, dev: dev.jsonl, eval: eval.jsonl, max_length: 128}
lora: {r: 4, dropout: 0.2, target_modules: [q_proj, down_proj]}
train: {epochs: 2, batch_size: 8, micro_batch_tokens: 64, learning_rate: 0.1, keep: best, save_every: 1,
        keep_checkpoints: 2}
eval: {max_new_tokens: 4, repetitions: 1, bootstrap: 100}
)";
constexpr int64_t kSteps = 6;
constexpr size_t kNever = SIZE_MAX;
const FileCall kSavesCheckpoint{"rename", "outputs/lora_adapter/checkpoint"};
const FileCall kFinishesAdapter{"rename", "outputs/lora_adapter"};

struct AdapterFiles {
  std::string weights, config;
  bool operator==(const AdapterFiles&) const = default;
};

// Empty where they are missing.
AdapterFiles AdapterIn(const fs::path& folder) {
  return {FileBytes(folder / "adapter_model.safetensors"), FileBytes(folder / "adapter_config.json")};
}

// The step of the checkpoint in `folder`; 0 where there is none.
int64_t StepOf(const fs::path& folder) {
  const fs::path state = folder / "trainer.json";
  return fs::exists(state) ? ReadJsonFile(state)["step"].get<int64_t>() : 0;
}

// Of calls that differ only in numbers (steps, processes) the last.
std::set<size_t> LastOfEachKind(std::span<const FileCall> calls) {
  std::map<std::string, size_t> kinds;
  for (size_t i = 0; i < calls.size(); ++i) {
    std::string kind = calls[i].Text();
    std::erase_if(kind, [](unsigned char c) { return std::isdigit(c) != 0; });
    kinds[kind] = i;
  }
  std::set<size_t> points;
  for (const auto& [kind, point] : kinds) points.insert(point);
  return points;
}

class ResumeProgram : public Program {
 protected:
  void SetUp() override {
    Program::SetUp();
    WriteModel(folder_ / "model", kOtherModel);
    folder_.Write("config.yaml", kTraining);
    folder_.Write("train.jsonl", Items(24, "thing"));
    folder_.Write("dev.jsonl", R"({"id": "a", "prompt": "Which sea is the deepest?", "completion": "The Pacific."})"
                               "\n");
  }

  // The adapter of another training: outputs/ has it in the beginning from now on.
  void TrainEarlier() {
    folder_.Write("config.yaml", std::string(kTraining) + "seed: 1\n");
    ASSERT_EQ(Run({"train"}).code, 0);
    folder_.Write("config.yaml", kTraining);
    earlier_ = AdapterIn(adapter_);
    fs::rename(outputs_, folder_ / "earlier");
  }

  void Begin() const {
    fs::remove_all(outputs_);
    if (fs::exists(folder_ / "earlier")) fs::copy(folder_ / "earlier", outputs_, fs::copy_options::recursive);
  }

  // The training, killed before its call number `point` that changes files.
  Traced Train(size_t point) const {
    return tracing::Trace(
        {QAD_PROGRAM, "train", "--resume", "--json", "--config", Path("config.yaml"), "--threads", "1"},
        {.folder = folder_.path(),
         .kill = [&](size_t made, const FileCall&) { return made == point; },
         .exchange = exchange_},
        logs_ / "out.txt", logs_ / "err.txt");
  }

  // What a training makes that nothing interrupts, and by which calls.
  void TrainWhole() {
    Begin();
    const Ended ended = Run({"train", "--json"});
    ASSERT_EQ(ended.code, 0) << ended.err;
    whole_ = AdapterIn(adapter_);
    files_ = FilesLeft();
    report_ = ParseJson(ended.out, "train");
    ASSERT_EQ(report_["losses"].size(), kSteps);
    ASSERT_LT(report_["validation_losses"][0], report_["validation_losses"][1]) << "the best one has to be kept";
    Begin();
    const Traced traced = Train(kNever);
    ASSERT_TRUE(traced.succeeded()) << FileBytes(logs_ / "err.txt");
    EXPECT_TRUE(AdapterIn(adapter_) == whole_) << "other bytes although nothing was interrupted";
    calls_ = traced.calls;
    ASSERT_EQ(std::ranges::count(calls_, kSavesCheckpoint), kSteps - 1);
    ASSERT_EQ(std::ranges::count(calls_, kFinishesAdapter), 1);
  }

  // Below outputs/, without single files that were being written outside the adapter: nothing reads them.
  std::set<std::string> FilesLeft() const {
    std::set<std::string> files;
    for (const auto& entry : fs::recursive_directory_iterator(outputs_)) {
      const std::string name = entry.path().lexically_relative(outputs_);
      if (name.starts_with("lora_adapter") || name.find(".tmp.") == std::string::npos) files.insert(name);
    }
    return files;
  }

  // All are whole: an adapter, and the same one whenever it is of the same step.
  void ExpectWholeCheckpoints() {
    if (!fs::exists(adapter_)) return;
    for (const auto& entry : fs::directory_iterator(adapter_)) {
      const std::string name = entry.path().filename();
      if (!name.starts_with("checkpoint") || name.find('.') != std::string::npos) continue;
      const int64_t step = StepOf(entry.path());
      EXPECT_TRUE(name == "checkpoint" || name == fmt::format("checkpoint-{}", step)) << name << " is of " << step;
      EXPECT_NO_THROW(ReadPeftAdapter(entry.path())) << name;
      const AdapterFiles files = AdapterIn(entry.path());
      EXPECT_TRUE(checkpoints_.try_emplace(step, files).first->second == files) << name;
    }
  }

  // Goes on to the end, which is the same as without a kill; returns from which step.
  int64_t Resume() const {
    const Traced traced = Train(kNever);
    EXPECT_TRUE(traced.succeeded()) << FileBytes(logs_ / "err.txt");
    if (!traced.succeeded()) return -1;
    EXPECT_TRUE(AdapterIn(adapter_) == whole_) << "other bytes than without the kill";
    EXPECT_EQ(FilesLeft(), files_);
    const Json report = ParseJson(FileBytes(logs_ / "out.txt"), "train");
    for (const char* curve : {"losses", "validation_losses", "validation_scores"})
      EXPECT_EQ(report[curve], report_[curve]) << curve;
    return report["resumed_from_step"].get<int64_t>();
  }

  void KillAndResume(size_t point) {
    SCOPED_TRACE(fmt::format("killed before call {} of {}: {}", point, calls_.size(), calls_[point].Text()));
    Begin();
    const Traced killed = Train(point);
    ASSERT_TRUE(killed.killed());
    ASSERT_EQ(killed.calls.size(), point + 1);
    ASSERT_EQ(killed.calls.back().name, calls_[point].name);
    const auto made = std::span(calls_).first(point);
    const bool finished = std::ranges::count(made, kFinishesAdapter) > 0;
    const bool put_aside = !exchange_ && calls_[point] == kFinishesAdapter;
    ExpectWholeCheckpoints();
    EXPECT_TRUE(put_aside || AdapterIn(adapter_) == (finished ? whole_ : earlier_));
    EXPECT_EQ(Resume(), finished ? 0 : std::ranges::count(made, kSavesCheckpoint));
  }

  const fs::path outputs_ = folder_ / "outputs", adapter_ = outputs_ / "lora_adapter";
  bool exchange_ = true;  // the file system can exchange two names in one call
  AdapterFiles whole_, earlier_;
  Json report_;
  std::set<std::string> files_;
  std::vector<FileCall> calls_;
  std::map<int64_t, AdapterFiles> checkpoints_;  // by step
};

// The finished adapter of an earlier training stands until the new one is finished.
TEST_F(ResumeProgram, AKillAtAnyWriteLosesNothing) {
  ASSERT_NO_FATAL_FAILURE(TrainEarlier());
  ASSERT_NO_FATAL_FAILURE(TrainWhole());
  ASSERT_FALSE(earlier_ == whole_);
  for (const size_t point : LastOfEachKind(calls_)) KillAndResume(point);
}

// --resume starts where there is nothing to resume.
TEST_F(ResumeProgram, AKillBeforeTheFirstCheckpointStartsAgain) {
  ASSERT_NO_FATAL_FAILURE(TrainWhole());
  const auto first = std::ranges::find(calls_, kSavesCheckpoint);
  for (const size_t point : LastOfEachKind({calls_.begin(), first + 2})) KillAndResume(point);
}

TEST_F(ResumeProgram, AKillLosesNothingWhereNamesCannotBeExchanged) {
  exchange_ = false;
  ASSERT_NO_FATAL_FAILURE(TrainEarlier());
  ASSERT_NO_FATAL_FAILURE(TrainWhole());
  for (const size_t point : LastOfEachKind(calls_))  // before renames and behind them
    if (calls_[point].name == "rename" || (point > 0 && calls_[point - 1].name == "rename")) KillAndResume(point);
}

// Also while it goes on from an earlier kill.
TEST_F(ResumeProgram, KilledAgainAndAgainItEndsTheSame) {
  constexpr uint64_t kTwoCheckpoints = 120;  // calls, or less
  ASSERT_NO_FATAL_FAILURE(TrainWhole());
  size_t kills = 0;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    Begin();
    Random random(seed, 0);
    for (int64_t saved = 0, step = 0; !(AdapterIn(adapter_) == whole_); saved = step, ++kills) {
      ASSERT_LT(kills, 200u);
      const Traced traced = Train(random.Below(kTwoCheckpoints));
      ASSERT_TRUE(traced.killed() || traced.succeeded()) << FileBytes(logs_ / "err.txt");
      ExpectWholeCheckpoints();
      step = fs::exists(adapter_ / "adapter_config.json") ? kSteps : StepOf(adapter_ / "checkpoint");
      ASSERT_GE(step, saved);
    }
    EXPECT_GE(Resume(), 0);
  }
  EXPECT_GT(kills, 24u);
}

// Between writes, too: in the middle of steps and validations.
TEST_F(ResumeProgram, AKillAtAnyTimeLosesNothing) {
  WriteModel(folder_ / "model", kModel);
  folder_.Write("train.jsonl", Items(144, "thing"));
  std::string config = kTraining;
  config.replace(config.find("batch_size: 8"), 13, "batch_size: 48");
  folder_.Write("config.yaml", config);
  ASSERT_NO_FATAL_FAILURE(TrainWhole());
  const auto begun = [&] {
    return fs::exists(adapter_ / "checkpoint") || fs::exists(adapter_ / "adapter_config.json");
  };
  int killed = 0;
  for (int wait = 0; wait < 12; ++wait) {
    SCOPED_TRACE(fmt::format("{} ms", 3 * wait));
    Begin();
    const pid_t child = Start({"train", "--resume", "--config", Path("config.yaml")});
    const auto give_up = std::chrono::steady_clock::now() + std::chrono::seconds(100);
    while (!begun() && std::chrono::steady_clock::now() < give_up)
      std::this_thread::sleep_for(std::chrono::microseconds(200));
    std::this_thread::sleep_for(std::chrono::milliseconds(3 * wait));
    ::kill(child, SIGKILL);
    killed += Wait(child).code == 1000 + SIGKILL ? 1 : 0;
    ExpectWholeCheckpoints();
    const int64_t saved = StepOf(adapter_ / "checkpoint");
    EXPECT_EQ(Resume(), saved);
  }
  EXPECT_GT(killed, 0) << "the others came too late to show anything";
}

}  // namespace
}  // namespace qad
