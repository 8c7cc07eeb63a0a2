// Texts that quantizers look at the activations of: a dataset (one sample an item, in the model's own chat template),
// a text file cut into pieces, or what the model itself makes up.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "io/model_files.h"
#include "model/plan.h"
#include "text/tokenizer.h"

namespace qad {

struct CalibrationOptions {
  size_t samples = 128;  // at most so many, chosen by the seed where there are more
  size_t length = 512;   // tokens of a sample at most
  uint64_t seed = 0;
  std::string system_prompt = {};  // of items that have no system message, as in evaluation
};

struct Calibration {
  std::vector<std::vector<TokenId>> samples;
  std::string source;  // the file's name
  std::string sha256;  // of the file
  size_t tokens() const;
  size_t longest() const;    // tokens of a sample
  std::string Hash() const;  // SHA-256 of the samples' tokens
};

// `path`: .jsonl is a dataset (text/dataset.h), anything else UTF-8 text. Samples are in the order of the file, none of
// them empty. Errors (kInput): as LoadDataset, LoadTokenizer, ChatTemplate; fewer than kLeastCalibrationTokens.
inline constexpr size_t kLeastCalibrationTokens = 64;
Calibration ReadCalibration(const std::filesystem::path& path, const ModelFiles& files,
                            const CalibrationOptions& options);

// Says on stderr that second moments of an operation's inputs hang on the damping, where the texts have fewer tokens
// than the widest operation has inputs: what feeds errors back then fits noise.
void WarnOfFewTokens(const Calibration& calibration, const Plan& plan);

// Texts that the model itself makes up, drawn from its predictions (temperature 1) from the begin-of-sequence token on,
// or from any token where it has none. Errors (kInput): as LoadModel; fewer than kLeastCalibrationTokens.
Calibration GenerateCalibration(const std::filesystem::path& model, const CalibrationOptions& options, int threads);

// Takes every eighth sample out, to judge on what was not calibrated with. Errors (kInput): a single sample, or fewer
// than kLeastCalibrationTokens that are left, or taken out.
std::vector<std::vector<TokenId>> HoldOut(Calibration& calibration);

}  // namespace qad
