// One arm of a configuration that answers questions: what ask and chat share.
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "experiment/prompts.h"

namespace qad {

// The arm of this name; without one what the last whole run recommends, else, with a line on stderr that says why, the
// first. Error (kUsage): none of the arms.
const ArmConfig& ArmToAsk(const Config& config, const std::string& name);

struct Reply {
  std::string text;
  std::vector<Passage> passages;
  std::string citation = {};   // id of the passage that the answer rests on; empty where none holds half of it
  bool nothing_found = false;  // the text is the refusal, and the model did not run
  int64_t prompt_tokens = 0, output_tokens = 0;
  bool truncated = false;                       // stopped by max_new_tokens
  double first_token_seconds = 0, seconds = 0;  // from the start of prefill, or of the request
};

std::vector<std::string> IdsOf(const std::vector<Passage>& passages);

class Answerer {
 public:
  // Loads weights, adapter and index. Errors: as LoadModel, LoraAdapter, OpenIndex.
  Answerer(const std::filesystem::path& config, const std::string& arm, int threads);

  const ArmConfig& arm() const { return arm_; }
  // Whether the model can see them all, with passages and room for an answer; what an endpoint sees is not known.
  bool Fits(const std::vector<Message>& messages) const;
  // To the last of `messages`, a user's; passages are looked up for that one alone. `shown` gets the text as it comes;
  // may be empty. Errors: as Generate, Endpoint::Ask.
  Reply Ask(const std::vector<Message>& messages, const std::function<void(std::string_view)>& shown = {});

 private:
  Reply AskEndpoint(const Prompt& prompt, const std::function<void(std::string_view)>& shown);
  Reply AskModel(const Prompt& prompt, const std::function<void(std::string_view)>& shown);

  Workspace workspace_;
  ArmConfig arm_;
  Model& model_;
  std::unique_ptr<Endpoint> endpoint_;  // null where the model answers
  std::unique_ptr<Index> index_;
  PromptMaker maker_;
  std::vector<std::string> refusals_;  // of the data
};

}  // namespace qad
