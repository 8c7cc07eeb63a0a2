// Samples carried through a model one decoder block at a time, which alone is in memory as f32: what calibration sees,
// and what solvers that work through the quantized prefix need. A block's linear operations have four inputs (of q, k
// and v; of o; of gate and up; of down); each is computed on all samples from the block's weights as they then are, so
// that a solver may replace those of one operation before the input of the next is computed.
#pragma once

#include <map>
#include <optional>
#include <span>
#include <vector>

#include "io/model_files.h"
#include "model/plan.h"
#include "ops/attention.h"
#include "ops/context.h"
#include "ops/linear.h"
#include "ops/rope.h"
#include "text/tokenizer.h"

namespace qad {

// Inputs of one linear operation on all samples, (rows, width) without gaps.
struct BlockInput {
  const float* data = nullptr;
  size_t rows = 0, width = 0;
};

class BlockWalk {
 public:
  // No sample is empty, their tokens are below the vocabulary and as many as the model has positions at most.
  BlockWalk(const ModelFiles& files, const Plan& plan, std::span<const std::vector<TokenId>> samples, Context& context);

  size_t layers() const { return plan_.config.layers; }
  size_t rows() const { return positions_.size(); }

  // Reads a block's weights; layers come in order, each after the Finish of the one before. `restarts`: keeps what
  // Restart needs.
  void Load(size_t layer, bool restarts = false);
  // Of the loaded block: (rows, cols) of the plan; empty where the family has none.
  std::span<float> Matrix(Role role);
  std::span<float> Vector(Role role, bool bias);
  enum class Input : uint8_t { kAttention, kOutput, kMlp, kDown };
  static constexpr Input kInputs[] = {Input::kAttention, Input::kOutput, Input::kMlp, Input::kDown};
  // The roles that the family has of those that read one input, in the order of their outputs.
  static std::vector<Role> ReadersOf(const Plan& plan, size_t layer, Input input);
  std::vector<Role> Readers(Input input) const { return ReadersOf(plan_, layer_, input); }
  size_t layer() const { return layer_; }

  // The inputs in the order of kInputs, each once; valid until the next call.
  BlockInput Compute(Input input);
  // Back to the block's first input, its weights as they are.
  void Restart();
  // Runs what is left of the block: its output is the next one's input.
  void Finish();
  // Of the last block, which is finished: the head's input.
  BlockInput Output();

 private:
  struct Piece {  // of rows that are computed at once: whole samples
    size_t first_row, rows, first_sample, samples;
  };
  void ReadTensor(const TensorSpec& spec);
  Linear LinearOf(Input input);
  void Normalize(Role role);
  void Attend();
  void Activate();
  void AddTo(Input input);

  const ModelFiles& files_;
  const Plan& plan_;
  std::span<const std::vector<TokenId>> samples_;
  Context& context_;
  ScopedSetting<bool> in_bf16_{context_.f32_in_bf16, true};  // a block is in f32 to be changed, not to be exact
  std::optional<RotaryTable> rotary_;
  std::vector<size_t> positions_;
  std::vector<Piece> pieces_;
  size_t layer_ = 0;
  int done_ = -1;                                                // the last input that was computed
  std::map<std::pair<Role, bool>, std::vector<float>> tensors_;  // of the loaded block
  std::vector<float> x_, start_, normed_;
  std::vector<float> inner_;  // what attention gives, and later the activations
};

}  // namespace qad
