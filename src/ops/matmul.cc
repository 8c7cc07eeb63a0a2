#include "ops/matmul.h"

#include <map>
#include <oneapi/dnnl/dnnl.hpp>
#include <tuple>
#include <utility>

#include "base/error.h"

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

MatmulEngine::MatmulEngine() : impl_(std::make_unique<Impl>()) {}
MatmulEngine::~MatmulEngine() = default;

// Sets of features, not an order: avx2_vnni is the larger number. AVX-512 without bf16 would emulate it, slower than
// f32.
bool MatmulEngine::has_bf16() const {
  const auto has = static_cast<unsigned>(dnnl::get_effective_cpu_isa());
  constexpr auto kNeeded = static_cast<unsigned>(dnnl::cpu_isa::avx512_core_bf16);
  return (has & kNeeded) == kNeeded;
}

void MatmulEngine::Run(const MatmulArguments& x) {
  if (x.m == 0 || x.n == 0) return;
  QAD_CHECK(x.k > 0);
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
