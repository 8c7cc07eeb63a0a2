#include "quantize/block_walk.h"

#include <algorithm>

#include "base/error.h"
#include "kernels/elementwise.h"
#include "model/source.h"
#include "ops/activation.h"
#include "ops/norm.h"
#include "quantize/artefact.h"

namespace qad {
namespace {

constexpr size_t kPieceRows = 1024;  // more than this only where one sample is longer

}  // namespace

BlockWalk::BlockWalk(const ModelFiles& files, const Plan& plan, std::span<const std::vector<TokenId>> samples,
                     Context& context)
    : files_(files), plan_(plan), samples_(samples), context_(context) {
  const ModelConfig& c = plan.config;
  size_t longest = 0;
  for (size_t s = 0; s < samples.size(); ++s) {
    const size_t count = samples[s].size();
    QAD_CHECK(count > 0 && count <= c.max_positions);
    if (pieces_.empty() || pieces_.back().rows + count > kPieceRows) pieces_.push_back({positions_.size(), 0, s, 0});
    pieces_.back().rows += count;
    ++pieces_.back().samples;
    for (size_t t = 0; t < count; ++t) positions_.push_back(t);
    longest = std::max(longest, count);
  }
  if (!c.family->traits.learned_positions && longest > 0) {
    rotary_.emplace(c.rope_theta, c.head_dim);
    rotary_->Extend(longest);
  }
  const TensorSource tokens = FindSource(files, c, *plan.Find(Role::kTokenEmbedding, -1));
  x_.resize(rows() * c.hidden);
  float* row = x_.data();
  for (const std::vector<TokenId>& sample : samples)
    for (const TokenId token : sample) {
      QAD_CHECK(token >= 0 && static_cast<size_t>(token) < c.vocab);
      tokens.ReadRow(static_cast<size_t>(token), row);
      row += c.hidden;
    }
  if (c.family->traits.learned_positions) {
    const TensorSource places = FindSource(files, c, *plan.Find(Role::kPositionEmbedding, -1));
    std::vector<float> offset(c.hidden);
    for (size_t r = 0; r < rows(); ++r) {
      places.ReadRow(positions_[r], offset.data());
      Add(offset.data(), x_.data() + r * c.hidden, c.hidden);
    }
  }
  normed_.resize(rows() * c.hidden);
  inner_.resize(rows() * std::max(c.heads * c.head_dim, c.intermediate));
}

void BlockWalk::ReadTensor(const TensorSpec& spec) {
  const TensorSource source = FindSource(files_, plan_.config, spec);
  std::vector<float>& values = tensors_[{spec.role, spec.bias}];
  values.resize(spec.elements());
#pragma omp parallel for schedule(static)
  for (int64_t row = 0; row < static_cast<int64_t>(spec.rows); ++row)
    source.CopyRow(static_cast<size_t>(row), F32View(values.data(), spec.rows, spec.cols));
  RequireFinite(values, files_, spec);
}

void BlockWalk::Load(size_t layer, bool restarts) {
  QAD_CHECK(layer < layers());
  layer_ = layer;
  done_ = -1;
  tensors_.clear();
  for (const TensorSpec& spec : plan_.tensors)
    if (spec.layer == static_cast<int>(layer)) ReadTensor(spec);
  files_.DropPages();
  if (restarts) start_ = x_;
}

std::span<float> BlockWalk::Matrix(Role role) { return Vector(role, false); }

std::span<float> BlockWalk::Vector(Role role, bool bias) {
  const auto found = tensors_.find({role, bias});
  return found == tensors_.end() ? std::span<float>() : std::span<float>(found->second);
}

std::vector<Role> BlockWalk::ReadersOf(const Plan& plan, size_t layer, Input input) {
  std::vector<Role> roles;
  const auto add = [&](std::initializer_list<Role> candidates) {
    for (const Role role : candidates)
      if (plan.Find(role, static_cast<int>(layer)) != nullptr) roles.push_back(role);
  };
  switch (input) {
    case Input::kAttention:
      add({Role::kQkv, Role::kQ, Role::kK, Role::kV});
      break;
    case Input::kOutput:
      add({Role::kO});
      break;
    case Input::kMlp:
      add({Role::kGateUp, Role::kGate, Role::kUp});
      break;
    case Input::kDown:
      add({Role::kDown});
      break;
  }
  return roles;
}

// A view of what is loaded; its outputs lie as the roles come.
Linear BlockWalk::LinearOf(Input input) {
  Linear linear;
  for (const Role role : Readers(input)) {
    const TensorSpec& spec = *plan_.Find(role, static_cast<int>(layer_));
    const std::span<float> bias = Vector(role, true);
    linear.in = spec.cols;
    linear.out += spec.rows;
    linear.parts.push_back(F32View(Matrix(role).data(), spec.rows, spec.cols));
    linear.biases.push_back(bias.empty() ? nullptr : bias.data());
  }
  return linear;
}

void BlockWalk::Normalize(Role role) {
  const ModelConfig& c = plan_.config;
  const std::span<float> gain = Vector(role, false), bias = Vector(role, true);
  NormForward(context_,
              {.kind = c.family->traits.norm,
               .width = c.hidden,
               .epsilon = c.norm_eps,
               .gain = gain.data(),
               .bias = bias.empty() ? nullptr : bias.data()},
              x_.data(), rows(), normed_.data());
}

// From normed_ to inner_.
void BlockWalk::Attend() {
  const ModelConfig& c = plan_.config;
  const Linear linear = LinearOf(Input::kAttention);
  const size_t width = c.qkv_outputs(), q_width = c.heads * c.head_dim;
  std::vector<float> qkv;
  for (const Piece& piece : pieces_) {
    qkv.resize(piece.rows * width);
    LinearForward(context_, linear, normed_.data() + piece.first_row * c.hidden, piece.rows, c.hidden, qkv.data(),
                  width, false);
    const std::span positions(positions_.data() + piece.first_row, piece.rows);
    if (rotary_) RotaryForward(context_, *rotary_, positions, c.heads + c.kv_heads, qkv.data(), width);
    std::vector<AttentionItem> items;
    const float* row = qkv.data();
    float* out = inner_.data() + piece.first_row * q_width;
    for (size_t s = piece.first_sample; s < piece.first_sample + piece.samples; ++s) {
      AttentionItem& item = items.emplace_back();
      item.q = row;
      item.ldq = width;
      item.count = samples_[s].size();
      item.k = KvView::Packed(row + q_width, c.head_dim, width);
      item.v = KvView::Packed(row + q_width + c.kv_heads * c.head_dim, c.head_dim, width);
      item.out = out;
      item.ldo = q_width;
      row += item.count * width;
      out += item.count * q_width;
    }
    AttentionForward(context_, {c.heads, c.kv_heads, c.head_dim, true}, items);
  }
}

// From normed_ to inner_.
void BlockWalk::Activate() {
  const ModelConfig& c = plan_.config;
  const Linear linear = LinearOf(Input::kMlp);
  std::vector<float> up;
  for (const Piece& piece : pieces_) {
    up.resize(piece.rows * linear.out);
    LinearForward(context_, linear, normed_.data() + piece.first_row * c.hidden, piece.rows, c.hidden, up.data(),
                  linear.out, false);
    ActivationForward(context_, c.family->traits.activation, up.data(), piece.rows, c.intermediate,
                      inner_.data() + piece.first_row * c.intermediate, c.intermediate);
  }
}

// x_ += what the operation that reads `input` makes of inner_.
void BlockWalk::AddTo(Input input) {
  const Linear linear = LinearOf(input);
  const size_t hidden = plan_.config.hidden;
  for (const Piece& piece : pieces_)
    LinearForward(context_, linear, inner_.data() + piece.first_row * linear.in, piece.rows, linear.in,
                  x_.data() + piece.first_row * hidden, hidden, true);
}

BlockInput BlockWalk::Compute(Input input) {
  const ModelConfig& c = plan_.config;
  QAD_CHECK(static_cast<int>(input) == done_ + 1);
  done_ = static_cast<int>(input);
  switch (input) {
    case Input::kAttention:
      Normalize(Role::kAttentionNorm);
      return {normed_.data(), rows(), c.hidden};
    case Input::kOutput:
      Attend();
      return {inner_.data(), rows(), c.heads * c.head_dim};
    case Input::kMlp:
      AddTo(Input::kOutput);
      Normalize(Role::kMlpNorm);
      return {normed_.data(), rows(), c.hidden};
    case Input::kDown:
      Activate();
      return {inner_.data(), rows(), c.intermediate};
  }
  QAD_CHECK(false);
}

void BlockWalk::Restart() {
  QAD_CHECK(start_.size() == x_.size());
  x_ = start_;
  done_ = -1;
}

void BlockWalk::Finish() {
  while (done_ < static_cast<int>(Input::kDown)) (void)Compute(static_cast<Input>(done_ + 1));
  AddTo(Input::kDown);
}

BlockInput BlockWalk::Output() {
  QAD_CHECK(layer_ + 1 == layers() && done_ == static_cast<int>(Input::kDown));
  tensors_.clear();
  for (const TensorSpec& spec : plan_.tensors)
    if (spec.role == Role::kFinalNorm) ReadTensor(spec);
  Normalize(Role::kFinalNorm);
  return {normed_.data(), rows(), plan_.config.hidden};
}

}  // namespace qad
