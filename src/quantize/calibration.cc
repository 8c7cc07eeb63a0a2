#include "quantize/calibration.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <optional>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/random.h"
#include "model/generation.h"
#include "model/load.h"
#include "model/weights.h"
#include "text/chat.h"
#include "text/dataset.h"
#include "text/prompt.h"

namespace qad {
namespace {

using Samples = std::vector<std::vector<TokenId>>;

// As evaluation and training put it before plain text.
std::vector<TokenId> WithBos(std::vector<TokenId> tokens, const Tokenizer& tokenizer) {
  if (tokenizer.add_bos() && tokenizer.bos()) tokens.insert(tokens.begin(), *tokenizer.bos());
  return tokens;
}

// A conversation with its answer, as the model would have seen it.
std::vector<TokenId> SampleOf(const Item& item, const std::string& system, const Tokenizer& tokenizer,
                              const ChatTemplate& chat) {
  std::vector<TokenId> tokens = chat.Encode(tokenizer, BuildMessages(item, system), true);
  for (const auto& more : {tokenizer.Encode(item.completion), tokenizer.EncodeWithSpecial(chat.end_of_turn())})
    tokens.insert(tokens.end(), more.begin(), more.end());
  return tokens;
}

Samples OfDataset(const std::filesystem::path& path, const std::string& system, const Tokenizer& tokenizer,
                  size_t length) {
  std::optional<ChatTemplate> chat;  // only where it is needed: it may not be understood
  Samples samples;
  size_t cut = 0;
  for (const Item& item : LoadDataset(path)) {
    if (!chat && !item.plain_text) chat = ChatTemplate::FromSource(tokenizer.chat_template(), path.string());
    samples.push_back(item.plain_text ? WithBos(tokenizer.Encode(item.completion), tokenizer)
                                      : SampleOf(item, system, tokenizer, *chat));
    if (samples.back().size() <= length) continue;
    samples.back().resize(length);
    ++cut;
  }
  if (cut > 0)
    fmt::print(stderr, "! {}: {} of {} items are longer than {} tokens, and their ends are left out\n", path.string(),
               cut, samples.size(), length);
  return samples;
}

// The text cut into pieces of `length` tokens, a last one of less than half left out where there are others.
Samples OfText(const std::string& text, const Tokenizer& tokenizer, size_t length) {
  const std::vector<TokenId> tokens = tokenizer.Encode(text);
  Samples samples;
  for (size_t begin = 0; begin < tokens.size(); begin += length) {
    const size_t end = std::min(tokens.size(), begin + length);
    if (begin > 0 && end - begin < length / 2) break;
    samples.push_back(WithBos(
        {tokens.begin() + static_cast<std::ptrdiff_t>(begin), tokens.begin() + static_cast<std::ptrdiff_t>(end)},
        tokenizer));
  }
  return samples;
}

Samples Choose(Samples all, size_t count, uint64_t seed) {
  if (all.size() <= count) return all;
  std::vector<size_t> order(all.size());
  std::iota(order.begin(), order.end(), size_t{0});
  Random random(seed);
  for (size_t i = 0; i < count; ++i) std::swap(order[i], order[i + random.Below(order.size() - i)]);
  order.resize(count);
  std::ranges::sort(order);
  Samples chosen;
  for (const size_t i : order) chosen.push_back(std::move(all[i]));
  return chosen;
}

}  // namespace

size_t Calibration::tokens() const {
  size_t sum = 0;
  for (const auto& sample : samples) sum += sample.size();
  return sum;
}

size_t Calibration::longest() const {
  size_t most = 0;
  for (const auto& sample : samples) most = std::max(most, sample.size());
  return most;
}

std::string Calibration::Hash() const {
  std::vector<TokenId> all;
  for (const auto& sample : samples) {
    all.push_back(-static_cast<TokenId>(sample.size()));
    all.insert(all.end(), sample.begin(), sample.end());
  }
  return Sha256(std::as_bytes(std::span(all)));
}

namespace {

void RequireEnough(const Calibration& calibration) {
  if (calibration.tokens() < kLeastCalibrationTokens)
    FailInput("{}: {} tokens are too few to calibrate with; at least {} are wanted, and thousands are better",
              calibration.source, calibration.tokens(), kLeastCalibrationTokens);
}

}  // namespace

Calibration ReadCalibration(const std::filesystem::path& path, const ModelFiles& files,
                            const CalibrationOptions& options) {
  const Tokenizer tokenizer = LoadTokenizer(files);
  const ModelConfig config = ConfigOf(files);
  RequireTogether(tokenizer, config, files.path.string());
  // Plain text has room for BOS.
  const size_t length = std::min(options.length, config.max_positions - 1);
  Samples samples = IsDataset(path) ? OfDataset(path, options.system_prompt, tokenizer, length)
                                    : OfText(ReadTextFile(path), tokenizer, length);
  std::erase_if(samples, [](const auto& sample) { return sample.empty(); });
  Calibration out{Choose(std::move(samples), options.samples, options.seed), path.string(), Sha256File(path)};
  RequireEnough(out);
  return out;
}

void WarnOfFewTokens(const Calibration& calibration, const Plan& plan) {
  size_t widest = 0;
  for (const TensorSpec& spec : plan.tensors)
    if (IsBlockMatrix(spec)) widest = std::max(widest, spec.cols);
  if (calibration.tokens() < widest)
    fmt::print(stderr,
               "! {}: {} tokens to calibrate with, and an operation has {} inputs: their second moments are singular "
               "and hang on the damping; more text would help\n",
               calibration.source, calibration.tokens(), widest);
}

Calibration GenerateCalibration(const std::filesystem::path& path, const CalibrationOptions& options, int threads) {
  Model model = LoadModel(path, WeightMode::kBF16);
  Context context(Numerics::kFast, threads);
  const ModelConfig& config = model.config();
  const size_t length = std::min(options.length, config.max_positions - 1);
  Random random(options.seed);
  Samples starts;
  for (size_t i = 0; i < options.samples; ++i)
    starts.push_back(
        {model.tokenizer.bos() ? *model.tokenizer.bos() : static_cast<TokenId>(random.Below(config.vocab))});
  GenerateOptions generate;
  generate.max_new_tokens = static_cast<int>(length - 1);
  generate.temperature = 1;
  generate.seed = options.seed;
  Calibration out{.samples = {}, .source = "made up by the model", .sha256 = ""};
  const std::vector<Generated> texts =
      Generate(context, model.transformer, model.tokenizer, starts, generate, /*share_prefix=*/false);
  for (size_t i = 0; i < texts.size(); ++i) {
    out.samples.push_back(std::move(starts[i]));
    out.samples.back().insert(out.samples.back().end(), texts[i].tokens.begin(), texts[i].tokens.end());
  }
  RequireEnough(out);
  return out;
}

std::vector<std::vector<TokenId>> HoldOut(Calibration& calibration) {
  constexpr size_t kEvery = 8;
  if (calibration.samples.size() < 2)
    FailInput(
        "{}: one sample cannot be both calibrated with and judged on; give more text, or cut it into shorter samples "
        "(--calibration-length, or quantize.calibration.length)",
        calibration.source);
  const size_t every = std::min(kEvery, calibration.samples.size());
  Samples kept, held;
  for (size_t i = 0; i < calibration.samples.size(); ++i)
    (i % every == every - 1 ? held : kept).push_back(std::move(calibration.samples[i]));
  Calibration taken{.samples = std::move(held), .source = calibration.source + " (samples held out)", .sha256 = {}};
  RequireEnough(taken);
  calibration.samples = std::move(kept);
  RequireEnough(calibration);
  return std::move(taken.samples);
}

}  // namespace qad
