#include "quantize/merged_model.h"

#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "io/model_files.h"
#include "model/source.h"
#include "model/weights.h"
#include "quantize/artefact.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

FormatId FormatOf(DType type) {
  return type == DType::kF32 ? FormatId::kF32 : type == DType::kF16 ? FormatId::kF16 : FormatId::kBF16;
}

const char* TypeName(DType type) {
  return type == DType::kF32 ? "float32" : type == DType::kF16 ? "float16" : "bfloat16";
}

class Writer {
 public:
  Writer(const ModelFiles& files, std::span<const LowRankUpdate> updates, const MergeOptions& options)
      : files_(files),
        updates_(updates),
        options_(options),
        plan_(PlanOf(files, WeightMode::kAsStored)),
        progress_("merge", Millions(plan_.parameters()), "M weights", options.quiet) {
    for (const LowRankUpdate& update : updates) RequireFits(update);
  }

  WrittenWeights Write(const fs::path& path) {
    for (const TensorSpec& spec : plan_.tensors)
      tensors_.push_back(IsBlockMatrix(spec) ? Merged(spec)
                                             : KeptTensor(files_, plan_.config, spec, options_.type, buffer_));
    WriteSafetensors(path, std::move(tensors_));
    return {plan_.stored_bytes(), errors_.ByRole()};
  }

 private:
  void RequireFits(const LowRankUpdate& update) const {
    const auto spec = std::ranges::find(plan_.tensors, update.module + ".weight", &TensorSpec::name);
    if (spec == plan_.tensors.end() || !IsBlockMatrix(*spec))
      FailInput("{}: has no linear layer \"{}\"; merge the adapter into the base it was trained on",
                files_.path.string(), update.module);
    if (spec->rows != update.out || spec->cols != update.in)
      FailInput("{}: \"{}\" is {} inputs × {} outputs, and {} × {} in the adapter", files_.path.string(), update.module,
                spec->cols, spec->rows, update.in, update.out);
  }

  // Each update by itself: sums are taken in the order of the rank, whatever the number of threads.
  void Add(const LowRankUpdate& update, size_t row, float* values) const {
    const float sign = options_.subtract ? -update.scale : update.scale;
    for (size_t k = 0; k < update.rank; ++k) {
      const float factor = sign * update.b[row * update.rank + k];
      const float* a = update.a.data() + k * update.in;
      for (size_t i = 0; i < update.in; ++i) values[i] += factor * a[i];
    }
  }

  TensorToWrite Merged(const TensorSpec& spec) {
    const bool transposed = plan_.config.family->traits.conv1d;
    std::vector<int64_t> shape = {static_cast<int64_t>(spec.rows), static_cast<int64_t>(spec.cols)};
    if (transposed) std::swap(shape[0], shape[1]);
    return {spec.name, options_.type, shape, {}, [this, &spec, transposed] { return Bytes(spec, transposed); }};
  }

  std::span<const std::byte> Bytes(const TensorSpec& spec, bool transposed) {
    ThrowIfInterrupted();
    const TensorSource source = FindSource(files_, plan_.config, spec);
    const Format& format = GetFormat(FormatOf(options_.type));
    const size_t each = format.RowBytes(1);
    buffer_.resize(spec.elements() * each);
    std::vector<const LowRankUpdate*> of_tensor;
    for (const LowRankUpdate& update : updates_)
      if (spec.name == update.module + ".weight") of_tensor.push_back(&update);
    std::vector<RowError> errors(spec.rows);
    bool finite = true, in_range = true;
#pragma omp parallel for schedule(static) reduction(&& : finite, in_range)
    for (int64_t r = 0; r < static_cast<int64_t>(spec.rows); ++r) {
      const auto row = static_cast<size_t>(r);
      std::vector<float> values(spec.cols), written(spec.cols);
      std::vector<std::byte> bytes(spec.cols * each);
      source.ReadRow(row, values.data());
      for (const LowRankUpdate* update : of_tensor) Add(*update, row, values.data());
      finite = AreFinite(values) && finite;
      format.encode_row(values.data(), bytes.data(), spec.cols);
      format.decode_row(bytes.data(), written.data(), spec.cols);
      in_range = AreFinite(written) && in_range;
      errors[row] = CompareRows(values, written);
      if (!transposed) {
        std::ranges::copy(bytes, buffer_.begin() + static_cast<std::ptrdiff_t>(row * bytes.size()));
        continue;
      }
      for (size_t i = 0; i < spec.cols; ++i)
        std::memcpy(buffer_.data() + (i * spec.rows + row) * each, bytes.data() + i * each, each);
    }
    if (!finite) FailNotFinite(files_, spec.name);
    if (!in_range)
      Fail(ErrorKind::kNumeric, "{}: merged, tensor \"{}\" has values beyond {}; choose another type",
           files_.path.string(), spec.name, format.name);
    errors_.Add(spec.role, SumOf(errors), spec.elements());
    files_.DropPages();
    progress_.Advance(Millions(spec.elements()));
    return buffer_;
  }

  const ModelFiles& files_;
  std::span<const LowRankUpdate> updates_;
  const MergeOptions& options_;
  Plan plan_;
  Progress progress_;
  std::vector<TensorToWrite> tensors_;
  std::vector<std::byte> buffer_;  // of the tensor being written
  Errors errors_;
};

}  // namespace

QuantizeReport MergeAdapter(const fs::path& source, std::span<const LowRankUpdate> updates, const fs::path& output,
                            const MergeOptions& options) {
  return WriteFolder(
      source, output, [&](const ModelFiles& files) { return DenseConfig(files, TypeName(options.type)); },
      options.threads,
      [&](const ModelFiles& files, const fs::path& path) { return Writer(files, updates, options).Write(path); });
}

}  // namespace qad
