#include "ops/context.h"

#include <omp.h>

#include <cstdlib>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>

#include "base/error.h"
#include "kernels/targets.h"
#include "ops/matmul.h"

namespace qad {
namespace {

// QAD_ISA holds for oneDNN too; its limit can only be set before its first use in the process.
void ApplyForcedTarget() {
  const char* forced = std::getenv("QAD_ISA");
  if (forced == nullptr || *forced == '\0') return;
  ForceTarget(forced);
  static const std::map<std::string_view, dnnl::cpu_isa> kIsa = {{"AVX3", dnnl::cpu_isa::avx512_core_bf16},
                                                                 {"AVX2", dnnl::cpu_isa::avx2},
                                                                 {"SSE4", dnnl::cpu_isa::sse41},
                                                                 {"SSSE3", dnnl::cpu_isa::sse41},
                                                                 {"SCALAR", dnnl::cpu_isa::sse41}};
  if (const auto found = kIsa.find(forced); found != kIsa.end()) dnnl::set_max_cpu_isa(found->second);
}

}  // namespace

std::string_view TimedName(Timed what) {
  static constexpr std::array<std::string_view, static_cast<size_t>(Timed::kCount)> kNames = {
      "embed", "norm", "linear", "adapter", "rope", "cache", "attention", "activation", "tape", "head", "loss"};
  return kNames[static_cast<size_t>(what)];
}

Context::Context(Numerics mode, int thread_count) : numerics(mode), threads(thread_count) {
  ApplyForcedTarget();
  if (threads <= 0) threads = omp_get_num_procs();
  omp_set_num_threads(threads);
  matmul_ = std::make_unique<MatmulEngine>();
  has_bf16 = matmul_->has_bf16() && HasBF16Dot();
}

Context::Context(const Context& like, OfOneThread)
    : numerics(like.numerics),
      threads(1),
      rows(like.rows),
      int8_activations(like.int8_activations),
      f32_in_bf16(like.f32_in_bf16),
      f32_in_parts(like.f32_in_parts),
      has_bf16(like.has_bf16),
      matmul_(std::make_unique<MatmulEngine>()) {}

Context::~Context() = default;

std::unique_ptr<Context> Context::ForOneThread() const {
  return std::unique_ptr<Context>(new Context(*this, OfOneThread()));
}

float* Context::Scratch(Slot slot, size_t floats) {
  constexpr size_t kLine = 64 / sizeof(float);  // of the cache: vectors of kernels do not cross one
  auto& buffer = scratch_[static_cast<size_t>(slot)];
  if (buffer.size() < floats + kLine) {
    buffer = std::vector<float>();  // nothing to carry over, and never both at once
    buffer.resize(floats + kLine);
  }
  const auto address = reinterpret_cast<uintptr_t>(buffer.data()) / sizeof(float);
  return buffer.data() + (kLine - address % kLine) % kLine;
}

size_t Context::scratch_bytes() const {
  size_t bytes = 0;
  for (const auto& buffer : scratch_) bytes += buffer.size() * sizeof(float);
  return bytes;
}

}  // namespace qad
