#include "ops/linear.h"

#include <omp.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <thread>
#include <utility>

#include "base/error.h"
#include "kernels/elementwise.h"
#include "kernels/low_rank.h"
#include "ops/low_rank.h"
#include "ops/many_rows.h"

namespace qad {
namespace {

// Up to this many rows the weights are streamed once by our own dot products; beyond, a dense product pays. Answers are
// multiplied so however many they are: what a sequence comes to must not hang on its neighbours, and decoding panels
// for a few dozen rows costs more.
constexpr size_t kFewRows = 8;
// In fast mode dot products with integer weights go on up to here, with activations as int8; prompts are longer, and
// are multiplied in bf16 where the CPU can, whose error is far smaller, and else as is quickest (docs/performance.md).
constexpr size_t kFewFastRows = 16;
constexpr size_t kRowsPerTask = kTileRows;          // outputs a thread takes at a time: work is cut by shape
constexpr size_t kRowsPerLongTask = 2 * kTileRows;  // where activations do not stay in the cache from one to the next
constexpr size_t kLeastTask = 1 << 12;              // weights of a task: below, calling costs more than multiplying

// A multiple of kTileRows.
size_t TaskRows(size_t cols, size_t count) {
  const size_t rows = count <= QuantizedRows::kStrip ? kRowsPerTask : kRowsPerLongTask;
  return std::max(rows, kLeastTask / cols / kTileRows * kTileRows);
}

// Calls dot(begin, end) for pieces of the weights' rows, in parallel where that pays.
template <typename Dot>
void ForRowTasks(const MatrixView& w, size_t count, const Dot& dot) {
  const size_t rows = TaskRows(w.cols, count);
  const auto tasks = static_cast<int64_t>((w.rows + rows - 1) / rows);
#pragma omp parallel for schedule(static) if (Pays(w.rows, w.cols, count))
  for (int64_t task = 0; task < tasks; ++task) {
    const size_t begin = static_cast<size_t>(task) * rows;
    dot(begin, std::min(w.rows, begin + rows));
  }
}

void FewRowsExact(const MatrixView& w, const Rows& x, float* y, size_t ldy) {
  ForRowTasks(w, x.count, [&](size_t begin, size_t end) { DotRows(w, begin, end, x.data, x.count, x.stride, y, ldy); });
}

QuantizedRows Quantize(Context& context, const Rows& x, size_t cols) {
  const size_t blocks = (cols + kBlock - 1) / kBlock, all = x.count * blocks;
  float* pairs = context.Scratch(Context::Slot::kQuantized, all * (4 + kBlock / sizeof(float)));
  const QuantizedRows rows = {.codes = reinterpret_cast<int8_t*>(pairs + 4 * all),
                              .pairs = pairs,
                              .shifts = reinterpret_cast<int32_t*>(pairs + 2 * all),
                              .count = x.count,
                              .blocks = blocks};
#pragma omp parallel for schedule(static) if (Pays(x.count, cols, 1))
  for (int64_t row = 0; row < static_cast<int64_t>(x.count); ++row) {
    const size_t m = static_cast<size_t>(row);
    QuantizeActivations(x.data + m * x.stride, cols, rows, m);
  }
  return rows;
}

void IntegerRows(const MatrixView& w, const QuantizedRows& x, float* y, size_t ldy) {
  ForRowTasks(w, x.count, [&](size_t begin, size_t end) { DotRowsInt8(w, begin, end, x, y, ldy); });
}

// The rule of which product a part is multiplied by.
enum class Path : uint8_t { kFewExact, kInteger, kPanels };

Path PathOf(const Context& context, const MatrixView& part, size_t count) {
  if (context.numerics == Numerics::kFast && context.int8_activations && IsInteger(part.layout)) {
    const bool few =
        context.rows == RowsAre::kOfAnswers || (context.rows == RowsAre::kAsManyAsThereAre && count <= kFewFastRows);
    if (few || (!context.own_bf16() && Int8OutrunsF32(part.layout))) return Path::kInteger;
  }
  // What a prompt comes to must not hang on those beside it: rounded to bf16, rows would show whether they were few.
  if (context.rows == RowsAre::kOfPrompts && (context.own_bf16() || UsesOwnPanels(context, part))) return Path::kPanels;
  // Panels in place are as good for one row as for many, but not worth rounding activations for where they are narrow.
  if (context.own_bf16() && part.layout == Layout::kBF16Tile && part.cols >= kBlock) return Path::kPanels;
  return count <= kFewRows || context.rows == RowsAre::kOfAnswers ? Path::kFewExact : Path::kPanels;
}

// Whether y += x Wᵀ can be had without a copy of the product.
bool Adds(const Context& context, const Linear& linear, size_t count) {
  return std::ranges::all_of(linear.parts, [&](const MatrixView& part) {
    return PathOf(context, part, count) == Path::kPanels && UsesOwnPanels(context, part);
  });
}

void BaseForward(Context& context, const Linear& linear, const Rows& x, float* y, size_t ldy, bool accumulate) {
  QuantizedRows quantized;
  Activations many(context, x, linear.in);
  size_t first = 0;
  for (size_t p = 0; p < linear.parts.size(); ++p) {
    const MatrixView& part = linear.parts[p];
    float* out = y + first;
    switch (PathOf(context, part, x.count)) {
      case Path::kFewExact:
        FewRowsExact(part, x, out, ldy);
        break;
      case Path::kInteger:
        if (quantized.codes == nullptr) quantized = Quantize(context, x, linear.in);
        IntegerRows(part, quantized, out, ldy);
        break;
      case Path::kPanels:
        ManyRows(context, part, many, out, ldy, accumulate);
        break;
    }
    if (const float* bias = linear.biases[p]; bias != nullptr)
      ForEachRow(x.count, part.rows, [&](size_t m) { Add(bias, out + m * ldy, part.rows); });
    first += part.rows;
  }
}

// Whether rows are so few that FewRows takes them: then every part goes in pieces of its outputs.
bool AreFew(const Context& context, const Linear& linear, size_t count) {
  if (count > kFewFastRows && context.rows != RowsAre::kOfAnswers) return false;
  // What a prompt comes to must not hang on those beside it: its adapters' sums are taken as those of many rows are.
  if (context.rows == RowsAre::kOfPrompts && !linear.adapters.empty()) return false;
  return std::ranges::all_of(linear.parts, [&](const MatrixView& part) {
    const bool in_place = part.layout == Layout::kBF16Tile && RoundsToBF16(context, part);
    return in_place || PathOf(context, part, count) != Path::kPanels;
  });
}

// Of few rows, the next tokens of sequences, everything in one parallel region: what they take is waiting for memory
// and for each other. First the adapters' A x, in pieces of A's rows; then pieces of the outputs; then, of all that a
// thread had, biases, adapters and what it is added to.
class FewRows {
 public:
  FewRows(Context& context, const Linear& linear, const Rows& x, float* y, size_t ldy, bool add, float* tape)
      : linear_(linear),
        x_(x),
        y_(y),
        ldy_(ldy),
        add_(add),
        fast_(context.numerics == Numerics::kFast),
        products_(y),
        ld_products_(ldy),
        z_(tape) {
    QAD_CHECK(linear.parts.size() <= kMostParts);
    Activations many(context, x, linear.in);
    size_t first = 0;
    bool in_place = true;
    for (size_t p = 0; p < linear.parts.size(); ++p) {
      const MatrixView& w = linear.parts[p];
      const Path path = PathOf(context, w, x.count);
      if (path == Path::kInteger && quantized_.codes == nullptr) quantized_ = Quantize(context, x, linear.in);
      if (path == Path::kPanels) rounded_ = {many.bf16(), x.count, many.bf16_stride()};
      in_place = in_place && path == Path::kPanels;
      const size_t step = path == Path::kPanels ? kPanelOutputs : TaskRows(w.cols, x.count);
      parts_[p] = {&w, linear.biases[p], path, first, step, (w.rows + step - 1) / step};
      tasks_ += parts_[p].tasks;
      first += w.rows;
    }
    if (add && !in_place) {
      products_ = context.Scratch(Context::Slot::kResults, x.count * linear.out);
      ld_products_ = linear.out;
    }
    if (!linear.adapters.empty() && z_ == nullptr)
      z_ = context.Scratch(Context::Slot::kAdapter, LowRankTapeFloats(linear, x.count));
    for (const LowRank& adapter : linear.adapters) inner_tasks_ += InnerTasks(adapter);
  }

  void Run() {
#pragma omp parallel if (Pays(linear_.out, linear_.in, x_.count))
    {
      const auto threads = static_cast<size_t>(omp_get_num_threads()),
                 thread = static_cast<size_t>(omp_get_thread_num());
      const auto share = [&](size_t tasks, size_t of) { return tasks * of / threads; };
      const size_t begin = share(tasks_, thread), end = share(tasks_, thread + 1);
      for (size_t task = share(inner_tasks_, thread); task < share(inner_tasks_, thread + 1); ++task) Inner(task);
      for (size_t task = begin; task < end; ++task) Multiply(task);
      // By now the others have long had their pieces of A x: no thread waits for them anywhere else.
      while (inner_done_.load(std::memory_order_acquire) < inner_tasks_) std::this_thread::yield();
      Finish(begin, end);
    }
  }

 private:
  static constexpr size_t kMostParts = 4;
  static constexpr size_t kInnerRows = 4;                 // of A
  static constexpr size_t kPanelOutputs = 2 * kTileRows;  // as products of many rows take them

  struct Part {
    const MatrixView* w = nullptr;
    const float* bias = nullptr;
    Path path = Path::kFewExact;
    size_t first = 0, step = 0, tasks = 0;
  };

  bool Rounds(const LowRank& adapter) const { return fast_ && adapter.rounded.a != nullptr; }
  static size_t InnerTasks(const LowRank& adapter) { return (adapter.rank + kInnerRows - 1) / kInnerRows; }

  // Some rows of A x of one adapter.
  void Inner(size_t task) {
    float* z = z_;
    for (const LowRank& adapter : linear_.adapters) {
      if (const size_t tasks = InnerTasks(adapter); task >= tasks) {
        task -= tasks;
        z += x_.count * adapter.rank;
        continue;
      }
      const size_t begin = task * kInnerRows;
      const MatrixView a = Rounds(adapter) ? BF16View(adapter.rounded.a, adapter.rank, linear_.in)
                                           : F32View(adapter.a, adapter.rank, linear_.in);
      DotRows(a, begin, std::min(adapter.rank, begin + kInnerRows), x_.data, x_.count, x_.stride, z, adapter.rank);
      inner_done_.fetch_add(1, std::memory_order_release);
      return;
    }
  }

  void Multiply(size_t task) const {
    size_t p = 0;
    for (; task >= parts_[p].tasks; ++p) task -= parts_[p].tasks;
    const Part& part = parts_[p];
    const size_t begin = task * part.step, end = std::min(part.w->rows, begin + part.step);
    float* out = products_ + part.first;
    switch (part.path) {
      case Path::kFewExact:
        DotRows(*part.w, begin, end, x_.data, x_.count, x_.stride, out, ld_products_);
        break;
      case Path::kInteger:
        DotRowsInt8(*part.w, begin, end, quantized_, out, ld_products_);
        break;
      case Path::kPanels:
        MultiplyTiles(*part.w, rounded_, begin, end, out, ld_products_, add_ && products_ == y_);
        break;
    }
  }

  // What is added to the products of some tasks.
  void Finish(size_t begin_task, size_t end_task) const {
    size_t task = 0;  // the first of a part
    for (const Part& part : parts_) {
      const size_t from = std::max(begin_task, task), to = std::min(end_task, task + part.tasks);
      const size_t first = std::exchange(task, task + part.tasks);
      if (from >= to) continue;
      const size_t begin = (from - first) * part.step, end = std::min(part.w->rows, (to - first) * part.step);
      for (size_t m = 0; m < x_.count; ++m) {
        float* row = products_ + m * ld_products_ + part.first + begin;
        if (part.bias != nullptr) Add(part.bias + begin, row, end - begin);
        AddAdapters(m, part.first + begin, part.first + end);
        if (products_ != y_) Add(row, y_ + m * ldy_ + part.first + begin, end - begin);
      }
    }
  }

  // To outputs begin … end of a row. Adapters begin where parts do, so that what a thread has of one never cuts the
  // vectors that another number of threads would take.
  void AddAdapters(size_t m, size_t begin, size_t end) const {
    const float* z = z_;
    for (const LowRank& adapter : linear_.adapters) {
      const size_t from = std::max(begin, adapter.first), to = std::min(end, adapter.first + adapter.outputs);
      if (from < to) {
        const size_t place = from - adapter.first, rank = adapter.rank;
        float* row = products_ + m * ld_products_ + from;
        if (Rounds(adapter))
          AddLowRankColumns(adapter.rounded.b + place, adapter.outputs, to - from, rank, z + m * rank, adapter.scale,
                            row);
        else
          AddLowRank(adapter.b + place * rank, to - from, rank, z + m * rank, adapter.scale, row);
      }
      z += x_.count * adapter.rank;
    }
  }

  const Linear& linear_;
  Rows x_;
  float* y_;
  size_t ldy_;
  bool add_, fast_;
  float* products_;  // y, or beside it where products cannot be added to it
  size_t ld_products_;
  float* z_;  // A x of every adapter, one after another, (count, rank)
  QuantizedRows quantized_ = {};
  BF16Rows rounded_ = {};
  std::array<Part, kMostParts> parts_ = {};
  size_t tasks_ = 0, inner_tasks_ = 0;
  std::atomic<size_t> inner_done_ = 0;
};

}  // namespace

Products ProductsOf(const Context& context, const MatrixView& weights, size_t rows) {
  switch (PathOf(context, weights, rows)) {
    case Path::kFewExact:
      return Products::kF32;
    case Path::kInteger:
      return Products::kInt8;
    case Path::kPanels:
      break;
  }
  return RoundsToBF16(context, weights) ? Products::kBF16 : Products::kF32;
}

void PrepareParts(const Context& context, Linear& linear, PreparedParts& prepared) {
  for (MatrixView& w : linear.parts) {
    if (!MultipliesInParts(context, w)) continue;
    prepared.panels.push_back(AllocateHuge(PartsBytes(w)));
    prepared.bytes += PartsBytes(w);
    auto* panels = reinterpret_cast<uint16_t*>(prepared.panels.back().get());
    DecodeParts(w, panels);
    w.in_parts = panels;
  }
}

size_t LowRankTapeFloats(const Linear& linear, size_t m) {
  size_t floats = 0;
  for (const LowRank& adapter : linear.adapters) floats += m * adapter.rank;
  return floats;
}

void LinearForward(Context& context, const Linear& linear, const float* x, size_t m, size_t ldx, float* y, size_t ldy,
                   bool accumulate, const Dropout& dropout, float* tape) {
  QAD_CHECK(linear.parts.size() == linear.biases.size());
  if (m == 0) return;
  if (AreFew(context, linear, m) && dropout.p == 0) {
    const ScopedTimer timer(context, Timed::kLinear);
    return FewRows(context, linear, {x, m, ldx}, y, ldy, accumulate, tape).Run();
  }
  float* out = y;
  size_t ld_out = ldy;
  const bool adds = accumulate && Adds(context, linear, m);
  if (accumulate && !adds) {
    out = context.Scratch(Context::Slot::kResults, m * linear.out);
    ld_out = linear.out;
  }
  {
    const ScopedTimer timer(context, Timed::kLinear);
    BaseForward(context, linear, {x, m, ldx}, out, ld_out, adds);
  }
  LowRankForward(context, linear, x, m, ldx, out, ld_out, dropout, tape);
  if (!accumulate || adds) return;
  const ScopedTimer timer(context, Timed::kLinear);
  ForEachRow(m, linear.out, [&](size_t row) { Add(out + row * ld_out, y + row * ldy, linear.out); });
}

void LinearBackward(Context& context, const Linear& linear, const float* x, size_t ldx, const float* tape,
                    const float* dy, size_t m, size_t ldy, float* dx, size_t ldx_gradient, const Dropout& dropout) {
  if (m == 0) return;
  {
    const ScopedTimer timer(context, Timed::kLinear);
    size_t first = 0;
    for (const MatrixView& part : linear.parts) {
      ManyRowsBackward(context, part, {dy + first, m, ldy}, dx, ldx_gradient);
      first += part.rows;
    }
  }
  LowRankBackward(context, linear, x, ldx, tape, dy, m, ldy, dx, ldx_gradient, dropout);
}

}  // namespace qad
