#include "ops/matmul.h"

#include <algorithm>
#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>
#include <utility>

#include "base/error.h"
#include "ops/gemm.h"
#include "ops/parallel.h"

namespace qad {

using Memory = dnnl::memory;

struct MatmulEngine::Impl {
  using Key = std::tuple<MatmulType, size_t, size_t, size_t, size_t, size_t, size_t, bool, bool>;
  struct Entry {
    Memory::desc a, b, c;
    dnnl::matmul primitive;
    Memory scratchpad;
  };

  dnnl::engine engine{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream{engine};
  std::map<Key, Entry> entries;

  Entry Make(const MatmulArguments& x) {
    const auto type = x.type == MatmulType::kF32 ? Memory::data_type::f32 : Memory::data_type::bf16;
    const auto dim = [](size_t value) { return static_cast<Memory::dim>(value); };
    Entry entry;
    entry.a = Memory::desc({dim(x.m), dim(x.k)}, type, Memory::dims{dim(x.lda), 1});
    entry.b = Memory::desc({dim(x.k), dim(x.n)}, type,
                           x.b_transposed ? Memory::dims{1, dim(x.ldb)} : Memory::dims{dim(x.ldb), 1});
    entry.c = Memory::desc({dim(x.m), dim(x.n)}, Memory::data_type::f32, Memory::dims{dim(x.ldc), 1});
    dnnl::primitive_attr attributes;
    attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
    if (x.accumulate) {
      dnnl::post_ops sum;
      sum.append_sum(1.0f);
      attributes.set_post_ops(sum);
    }
    const dnnl::matmul::primitive_desc description(dnnl::matmul::desc(entry.a, entry.b, entry.c), attributes, engine);
    entry.primitive = dnnl::matmul(description);
    entry.scratchpad = Memory(description.scratchpad_desc(), engine);
    return entry;
  }
};

namespace {

// Sets of features, not an order: avx2_vnni is the larger number.
bool HasIsa(dnnl::cpu_isa isa) {
  const auto has = static_cast<unsigned>(dnnl::get_effective_cpu_isa()), needed = static_cast<unsigned>(isa);
  return (has & needed) == needed;
}

void RunInPieces(const MatmulArguments& x) {
  constexpr size_t kRows = 256, kOutputs = 256;
  QAD_CHECK(x.type == MatmulType::kF32);
  const size_t down = (x.m + kRows - 1) / kRows, across = (x.n + kOutputs - 1) / kOutputs;
  const auto *a = static_cast<const float*>(x.a), *b = static_cast<const float*>(x.b);
#pragma omp parallel for schedule(static) if (x.m * x.n * x.k >= kMinParallelWork)
  for (int64_t piece = 0; piece < static_cast<int64_t>(down * across); ++piece) {
    const size_t row = static_cast<size_t>(piece) / across * kRows,
                 output = static_cast<size_t>(piece) % across * kOutputs;
    Gemm(false, x.b_transposed, std::min(kRows, x.m - row), std::min(kOutputs, x.n - output), x.k, 1, a + row * x.lda,
         x.lda, b + (x.b_transposed ? output * x.ldb : output), x.ldb, x.accumulate ? 1.0f : 0.0f,
         x.c + row * x.ldc + output, x.ldc);
  }
}

}  // namespace

MatmulEngine::MatmulEngine() : compiles_shapes_(HasIsa(dnnl::cpu_isa::avx512_core)), impl_(std::make_unique<Impl>()) {}
MatmulEngine::~MatmulEngine() = default;

// AVX-512 without bf16 would emulate it, slower than f32.
bool MatmulEngine::has_bf16() const { return HasIsa(dnnl::cpu_isa::avx512_core_bf16); }

void MatmulEngine::Run(const MatmulArguments& x) {
  if (x.m == 0 || x.n == 0) return;
  QAD_CHECK(x.k > 0);
  if (!compiles_shapes_) return RunInPieces(x);
  const Impl::Key key{x.type, x.m, x.n, x.k, x.lda, x.ldb, x.ldc, x.b_transposed, x.accumulate};
  auto found = impl_->entries.find(key);
  if (found == impl_->entries.end()) {
    if (impl_->entries.size() > 512) impl_->entries.clear();  // shapes are few unless someone feeds us every length
    found = impl_->entries.emplace(key, impl_->Make(x)).first;
  }
  Impl::Entry& entry = found->second;
  const auto bind = [&](const Memory::desc& description, const void* data) {
    return Memory(description, impl_->engine, const_cast<void*>(data));
  };
  entry.primitive.execute(impl_->stream, {{DNNL_ARG_SRC, bind(entry.a, x.a)},
                                          {DNNL_ARG_WEIGHTS, bind(entry.b, x.b)},
                                          {DNNL_ARG_DST, bind(entry.c, x.c)},
                                          {DNNL_ARG_SCRATCHPAD, entry.scratchpad}});
  impl_->stream.wait();
}

}  // namespace qad
