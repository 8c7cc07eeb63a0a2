// What every operation is handed: the numeric mode, the dense-product engine with its primitives, and timers.
// One context per thread of control; no globals. OpenMP threads are used inside operations.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "kernels/panels_bf16.h"

namespace qad {

// exact: f32 activations and accumulation. fast, the default: where the CPU has it, bf16 for dense products and for
// attention of many rows (scores in f32 where weights are not quantized); int8 activations where quantized weights meet
// a few rows, or more where there is no bf16 and that outruns f32 (Int8OutrunsF32).
enum class Numerics : uint8_t { kExact, kFast };

enum class Timed : uint8_t {
  kEmbed,
  kNorm,
  kLinear,
  kAdapter,
  kRope,
  kCache,
  kAttention,
  kActivation,
  kTape,
  kHead,
  kLoss,
  kCount
};
std::string_view TimedName(Timed what);

// What the rows of a step are, so that what becomes of a sequence does not hang on its neighbours: a prompt's, which
// are multiplied as many are, however few there are; an answer's, each the next token of a sequence, as few are,
// however many.
enum class RowsAre : uint8_t { kAsManyAsThereAre, kOfPrompts, kOfAnswers };

class MatmulEngine;  // oneDNN behind it; ops/matmul.cc

class Context {
 public:
  // threads 0: all cores. QAD_ISA in the environment forces a SIMD target (oneDNN's included).
  // Errors (kUsage): QAD_ISA names a target that this CPU or build lacks.
  explicit Context(Numerics numerics = Numerics::kFast, int threads = 0);
  ~Context();
  // The same settings for one thread of a parallel region, in which operations stay on it.
  std::unique_ptr<Context> ForOneThread() const;
  Context(const Context&) = delete;
  Context& operator=(const Context&) = delete;

  Numerics numerics;
  int threads;
  RowsAre rows = RowsAre::kAsManyAsThereAre;
  bool int8_activations = true;  // in fast mode, where weights are quantized; else they are decoded for every product
  bool f32_in_bf16 = false;      // whether fast mode rounds weights in f32, too, where it multiplies in bf16
  // Whether exact mode multiplies by f32 weights in three products of bf16, of both sides' rounded values and what
  // these leave: to 2⁻¹⁶ of each, where the CPU has tiles for bf16 and none for f32.
  bool f32_in_parts = false;
  bool has_bf16;  // whether CPU and build multiply bf16 (AVX-512); else fast dense products are f32
  // Whether our own bf16 kernels run now: in fast mode, where the CPU has what they need.
  bool own_bf16() const { return numerics == Numerics::kFast && has_bf16 && HasBF16Dot(); }
  MatmulEngine& matmul() { return *matmul_; }

  // A scratch buffer of at least `floats`, aligned to a cache line, valid until the next call with the same slot. Never
  // shrinks.
  enum class Slot : uint8_t { kPanel, kActivations, kQuantized, kAdapter, kResults, kLogits, kCount };
  float* Scratch(Slot slot, size_t floats);
  size_t scratch_bytes() const;

  // Seconds spent per kind of operation since the last ResetTimers.
  std::array<double, static_cast<size_t>(Timed::kCount)> seconds{};
  void ResetTimers() { seconds.fill(0); }
  bool timing = false;  // within a ScopedTimer

 private:
  struct OfOneThread {};
  Context(const Context& like, OfOneThread);
  std::unique_ptr<MatmulEngine> matmul_;
  std::array<std::vector<float>, static_cast<size_t>(Slot::kCount)> scratch_;
};

// Adds the time of a scope to context.seconds; within another one's scope that one has it.
class ScopedTimer {
 public:
  ScopedTimer(Context& context, Timed what)
      : context_(context), what_(what), outermost_(!std::exchange(context.timing, true)), start_(Clock::now()) {}
  ~ScopedTimer() {
    if (!outermost_) return;
    context_.timing = false;
    context_.seconds[static_cast<size_t>(what_)] += std::chrono::duration<double>(Clock::now() - start_).count();
  }
  ScopedTimer(const ScopedTimer&) = delete;
  ScopedTimer& operator=(const ScopedTimer&) = delete;

 private:
  using Clock = std::chrono::steady_clock;
  Context& context_;
  Timed what_;
  bool outermost_;
  Clock::time_point start_;
};

// A setting of a context that has another value while this lives.
template <typename Value>
class ScopedSetting {
 public:
  ScopedSetting(Value& setting, Value value) : setting_(setting), before_(std::exchange(setting, value)) {}
  ~ScopedSetting() { setting_ = before_; }
  ScopedSetting(const ScopedSetting&) = delete;
  ScopedSetting& operator=(const ScopedSetting&) = delete;

 private:
  Value& setting_;
  Value before_;
};

}  // namespace qad
