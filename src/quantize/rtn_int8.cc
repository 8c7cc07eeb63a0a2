#include "quantize/rtn_int8.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "model/source.h"
#include "model/weights.h"
#include "quantize/artefact.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr float kTop = 127.0f;
constexpr const char* kMethod = "qad-int8";
constexpr size_t kWorthThreads = size_t{1} << 14;  // values from which waking threads pays

bool IsQuantized(const TensorSpec& spec, const Int8Options& options) {
  return IsBlockMatrix(spec) || (options.embeddings && !IsVector(spec));
}

// For |x| < 2²²: the sum's last bit is worth one. Vectorizes at every instruction set, which nearbyint does not.
float RoundHalfToEven(float x) {
  constexpr float kOnes = 0x1.8p23f;
  return (x + kOnes) - kOnes;
}

// max|w| of a row; NaN or infinity where one is among them.
float LargestMagnitude(std::span<const float> row) {
  float largest = 0;
  for (const float w : row) {
    if (!std::isfinite(w)) return w;
    largest = std::max(largest, std::fabs(w));
  }
  return largest;
}

// One artefact in the making. Scales come first in the file, so a first pass finds them; codes are made as they are
// written, one tensor at a time.
class Writer {
 public:
  Writer(const ModelFiles& files, const Int8Options& options)
      : files_(files),
        options_(options),
        plan_(PlanOf(files, WeightMode::kAsStored)),
        progress_("quantize to int8", 2 * Millions(plan_.parameters()), "M weights", options.quiet) {}

  void Write(const fs::path& path) {
    scales_.reserve(plan_.tensors.size());  // spans point into it
    for (const TensorSpec& spec : plan_.tensors) IsQuantized(spec, options_) ? AddInt8(spec) : AddKept(spec);
    WriteSafetensors(path, std::move(tensors_));
  }

  const Plan& plan() const { return plan_; }
  std::vector<RoleError> errors() const { return errors_.ByRole(); }

 private:
  void AddInt8(const TensorSpec& spec) {
    const TensorSource source = FindSource(files_, plan_.config, spec);
    const std::vector<float>& scales = scales_.emplace_back(Scales(spec, source));
    const auto rows = static_cast<int64_t>(spec.rows), cols = static_cast<int64_t>(spec.cols);
    tensors_.push_back({spec.name + "_scale", DType::kF32, {rows}, std::as_bytes(std::span(scales))});
    tensors_.push_back({spec.name, DType::kI8, {rows, cols}, {}, [this, &spec, &scales, source] {
                          return Codes(spec, source, scales);
                        }});
  }

  void AddKept(const TensorSpec& spec) {
    tensors_.push_back(KeptTensor(files_, plan_.config, spec, KeptType(files_, plan_.config, spec), buffer_));
    progress_.Advance(2 * Millions(spec.elements()));
  }

  std::vector<float> Scales(const TensorSpec& spec, const TensorSource& source) {
    std::vector<float> scales(spec.rows);
    ForEachRow(source,
               [&](size_t row, std::span<const float> values) { scales[row] = LargestMagnitude(values) / kTop; });
    for (size_t row = 0; row < spec.rows; ++row)
      if (!std::isfinite(scales[row])) FailNotFinite(files_, spec.name, row);
    if (options_.per_tensor) std::ranges::fill(scales, *std::ranges::max_element(scales));
    Finish(spec);
    return scales;
  }

  std::span<const std::byte> Codes(const TensorSpec& spec, const TensorSource& source,
                                   const std::vector<float>& scales) {
    buffer_.resize(spec.elements());
    std::vector<RowError> errors(spec.rows);
    ForEachRow(source, [&](size_t row, std::span<const float> values) {
      auto* codes = reinterpret_cast<int8_t*>(buffer_.data()) + row * spec.cols;
      RoundToInt8(values, scales[row], codes);
      std::vector<float> decoded(values.size());
      for (size_t i = 0; i < values.size(); ++i) decoded[i] = scales[row] * static_cast<float>(codes[i]);
      errors[row] = CompareRows(values, decoded);
    });
    errors_.Add(spec.role, SumOf(errors), spec.elements());
    Finish(spec);
    return buffer_;
  }

  // Rows as the source counts them (a permuted bias is many rows of one value), in parallel.
  template <typename Function>
  void ForEachRow(const TensorSource& source, const Function& function) {
    ThrowIfInterrupted();
#pragma omp parallel if (source.rows * source.cols >= kWorthThreads)
    {
      std::vector<float> values(source.cols);
#pragma omp for schedule(static)
      for (int64_t row = 0; row < static_cast<int64_t>(source.rows); ++row) {
        source.ReadRow(static_cast<size_t>(row), values.data());
        function(static_cast<size_t>(row), std::span<const float>(values));
      }
    }
  }

  void Finish(const TensorSpec& spec) {
    files_.DropPages();
    progress_.Advance(Millions(spec.elements()));
  }

  const ModelFiles& files_;
  const Int8Options& options_;
  Plan plan_;
  Progress progress_;
  std::vector<std::vector<float>> scales_;
  std::vector<TensorToWrite> tensors_;
  std::vector<std::byte> buffer_;  // of the tensor being written
  Errors errors_;
};

Json QuantizationConfig(const Int8Options& options) {
  return {{"quant_method", kMethod},
          {"bits", 8},
          {"symmetric", true},
          {"granularity", options.per_tensor ? "tensor" : "channel"},
          {"embeddings", options.embeddings}};
}

}  // namespace

// A scale among the denormals is so coarse that a code may pass 127: cut off first, which rounds to the same.
void RoundToInt8(std::span<const float> values, float scale, int8_t* codes) {
  if (!(scale > 0)) return static_cast<void>(std::fill_n(codes, values.size(), int8_t{0}));
  for (size_t i = 0; i < values.size(); ++i)
    codes[i] = static_cast<int8_t>(RoundHalfToEven(std::clamp(values[i] / scale, -kTop, kTop)));
}

QuantizeReport QuantizeInt8(const fs::path& source, const fs::path& output, const Int8Options& options) {
  const auto config = [&](const ModelFiles& files) { return ArtefactConfig(files, QuantizationConfig(options)); };
  return WriteFolder(source, output, config, options.threads, [&](const ModelFiles& files, const fs::path& path) {
    Writer writer(files, options);
    writer.Write(path);
    return WrittenWeights{writer.plan().stored_bytes(), writer.errors()};
  });
}

}  // namespace qad
