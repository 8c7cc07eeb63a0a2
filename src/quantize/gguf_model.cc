#include "quantize/gguf_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "io/gguf_writer.h"
#include "io/model_files.h"
#include "model/source.h"
#include "model/weights.h"
#include "quantize/artefact.h"
#include "quantize/ggml_grid.h"
#include "quantize/gguf_metadata.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr const char* kMadeBy = "qad.method";  // the key that says that a file may be replaced

class Writer {
 public:
  Writer(const ModelFiles& files, const GgufOptions& options, const Plan& plan, std::vector<FormatId> formats,
         const LayerStore* solved)
      : files_(files),
        options_(options),
        plan_(plan),
        formats_(std::move(formats)),
        solved_(solved),
        progress_(fmt::format("quantize to {}", options.type->name), Millions(plan_.parameters()), "M weights",
                  options.quiet) {}

  void Write(const fs::path& path) {
    RequireImportance();
    WriteGguf(path, Metadata(), Tensors());
  }

  uint64_t Bytes() { return GgufBytes(Metadata(), Tensors()); }

  std::vector<RoleError> errors() const { return errors_.ByRole(); }

 private:
  GgufMetadata Metadata() const {
    GgufMetadata metadata = MetadataFor(files_, plan_.config);
    metadata.SetU32("general.file_type", options_.type->number);
    metadata.SetU32("general.quantization_version", 2);
    metadata.SetString(kMadeBy, options_.feedback.calibration != nullptr ? "error feedback"
                                : options_.importance != nullptr ? "scales searched, inputs weighted by importance"
                                                                 : "scales searched");
    return metadata;
  }

  std::vector<GgufTensorToWrite> Tensors() {
    std::vector<GgufTensorToWrite> tensors;
    for (size_t i = 0; i < plan_.tensors.size(); ++i) {
      const TensorSpec& spec = plan_.tensors[i];
      std::vector<int64_t> shape = {static_cast<int64_t>(spec.rows), static_cast<int64_t>(spec.cols)};
      if (IsVector(spec)) shape.erase(shape.begin());
      tensors.push_back({spec.gguf_name, formats_[i], shape, [this, i] { return Make(i); }});
    }
    CopyOthers(tensors);
    return tensors;
  }

  void RequireImportance() const {
    if (options_.importance == nullptr) return;
    const auto known = [&](const TensorSpec& spec) { return options_.importance->contains(spec.gguf_name); };
    if (std::ranges::none_of(plan_.tensors, known))
      FailInput("{}: the importance matrix names none of its tensors; is it of another model?", files_.path.string());
  }

  // Tensors of the source that the plan does not know, such as factors of rotary scaling.
  void CopyOthers(std::vector<GgufTensorToWrite>& tensors) const {
    if (files_.gguf == nullptr) return;
    for (const GgufTensor& tensor : files_.gguf->tensors()) {
      const auto same = [&](const TensorSpec& spec) { return spec.gguf_name == tensor.name; };
      if (std::ranges::any_of(plan_.tensors, same)) continue;
      if (tensor.format == nullptr)
        FailInput("{}: tensor \"{}\" has type {}, which this version cannot copy", files_.path.string(), tensor.name,
                  GgufTypeName(tensor.type));
      tensors.push_back({tensor.name, tensor.format->id, tensor.shape, [&tensor] { return tensor.bytes; }});
    }
  }

  std::vector<float> WeightsOf(const TensorSpec& spec) const {
    std::vector<float> weights(spec.cols, 1.0f);
    if (options_.importance == nullptr) return weights;
    const auto found = options_.importance->find(spec.gguf_name);
    if (found == options_.importance->end()) return weights;
    if (found->second.size() != spec.cols)
      FailInput("{}: the importance of \"{}\" is for {} inputs, it has {}; is it of another model?",
                files_.path.string(), spec.gguf_name, found->second.size(), spec.cols);
    double mean = 0;
    for (const float value : found->second) mean += static_cast<double>(value) / static_cast<double>(spec.cols);
    if (!(mean > 0) || !std::isfinite(mean)) return weights;
    // Inputs that calibration never saw are not worthless.
    for (size_t i = 0; i < spec.cols; ++i) weights[i] = found->second[i] + static_cast<float>(kLeast * mean);
    return weights;
  }

  // A bias of a folder, as the converter lays its values.
  std::vector<float> Interleaved(const std::vector<float>& values) const {
    std::vector<float> out(values.size());
    for (size_t i = 0; i < values.size(); ++i) out[InterleavedRow(i, plan_.config.head_dim)] = values[i];
    return out;
  }

  // Rows that were solved; null where the tensor was not.
  const std::byte* SolvedRows(const TensorSpec& spec) {
    const size_t layer = spec.layer < 0 ? plan_.config.layers : static_cast<size_t>(spec.layer);
    if (solved_ == nullptr || layer >= solved_->done()) return nullptr;
    if (layer_ == nullptr || layer_number_ != layer) layer_ = solved_->Open(layer);
    layer_number_ = layer;
    const auto found = layer_->tensors().find(spec.name);
    return found == layer_->tensors().end() ? nullptr : found->second.bytes.data();
  }

  std::span<const std::byte> Make(size_t index) {
    ThrowIfInterrupted();
    const TensorSpec& spec = plan_.tensors[index];
    const Format& format = GetFormat(formats_[index]);
    const TensorSource source = FindSource(files_, plan_.config, spec);
    const std::byte* solved = SolvedRows(spec);
    const std::vector<float> weights = WeightsOf(spec);
    // A permuted bias is many rows of one value.
    const size_t row_bytes = format.RowBytes(source.cols);
    const bool interleaved = IsInterleavedInGguf(plan_.config, spec.role);
    buffer_.resize(source.rows * row_bytes);
    std::vector<RowError> errors(source.rows);
    bool finite = true, in_range = true;
#pragma omp parallel for schedule(dynamic, 16) reduction(&& : finite, in_range)
    for (int64_t r = 0; r < static_cast<int64_t>(source.rows); ++r) {
      const auto row = static_cast<size_t>(r);
      static thread_local std::vector<float> values, decoded;
      values.resize(source.cols);
      decoded.resize(source.cols);
      source.ReadRow(row, values.data());
      if (interleaved && source.rows == 1) values = Interleaved(values);
      finite = AreFinite(values) && finite;
      if (!finite) continue;
      std::byte* out = buffer_.data() +
                       (interleaved && source.rows > 1 ? InterleavedRow(row, plan_.config.head_dim) : row) * row_bytes;
      if (solved != nullptr)
        std::copy_n(solved + row * row_bytes, row_bytes, out);
      else if (GgmlGrid::Has(format.id))
        in_range =
            std::isfinite(EncodeGgmlRow(format.id, values.data(), weights.data(), values.size(), out)) && in_range;
      else
        format.encode_row(values.data(), out, values.size());
      format.decode_row(out, decoded.data(), decoded.size());
      errors[row] = CompareRows(values, decoded);
      in_range = std::isfinite(errors[row].squares) && in_range;
    }
    if (!finite) FailNotFinite(files_, spec.name);
    if (!in_range)
      Fail(ErrorKind::kNumeric, "{}: tensor \"{}\": its values or scales are beyond f16 (65504); choose BF16 or F32",
           files_.path.string(), spec.name);
    if (GgmlGrid::Has(format.id)) errors_.Add(spec.role, SumOf(errors), spec.elements());
    files_.DropPages();
    progress_.Advance(Millions(spec.elements()));
    return buffer_;
  }

  static constexpr double kLeast = 1e-3;  // of the mean importance

  const ModelFiles& files_;
  const GgufOptions& options_;
  const Plan& plan_;
  std::vector<FormatId> formats_;
  const LayerStore* solved_;                // null: nothing was solved
  std::unique_ptr<SafetensorsFile> layer_;  // of solved_, the last that was asked for
  size_t layer_number_ = 0;
  Progress progress_;
  std::vector<std::byte> buffer_;  // of the tensor being written
  Errors errors_;
};

std::vector<FormatId> FormatsOf(const GgufOptions& options, const Plan& plan) {
  const bool calibrated = options.importance != nullptr || options.feedback.calibration != nullptr;
  if (options.formats.empty()) return AssignFormats(*options.type, plan, calibrated);
  QAD_CHECK(options.formats.size() == plan.tensors.size());
  return {options.formats.begin(), options.formats.end()};
}

}  // namespace

void RequireReplaceableGguf(const fs::path& output, const fs::path& source) {
  std::error_code ignored;
  if (output.empty()) Fail(ErrorKind::kUsage, "--output: a file must be named");
  if (!fs::exists(output)) return;
  if (fs::equivalent(output, source, ignored))
    Fail(ErrorKind::kUsage, "{}: is the source itself; choose another --output", output.string());
  bool ours = false;
  if (fs::is_regular_file(output)) {
    try {
      ours = GgufFile(output).Has(kMadeBy);
    } catch (const Error&) {
      ours = false;  // whatever it is
    }
  }
  if (!ours)
    Fail(ErrorKind::kUsage, "{}: exists and is no GGUF file of qad's, so it is not replaced; choose another --output",
         output.string());
}

uint64_t GgufModelBytes(const ModelFiles& files, const Plan& plan, const GgufOptions& options) {
  return Writer(files, options, plan, FormatsOf(options, plan), nullptr).Bytes();
}

namespace {

// Matrices that an importance matrix leaves out are rounded as if all inputs were alike. The embeddings never have any.
void WarnOfMissing(const Importance& importance, const Plan& plan) {
  const auto lacks = [&](const TensorSpec& spec) {
    return IsBlockMatrix(spec) && !importance.contains(spec.gguf_name);
  };
  if (const auto missing = std::ranges::count_if(plan.tensors, lacks); missing > 0)
    fmt::print(stderr, "! the importance matrix has nothing on {} matrices, e.g. {}: their inputs count alike\n",
               missing, std::ranges::find_if(plan.tensors, lacks)->gguf_name);
}

}  // namespace

GgufMade MakeGguf(const fs::path& source, const fs::path& output, const GgufOptions& options) {
  RequireReplaceableGguf(output, source);
  const ModelFiles files = OpenModel(source);
  const Plan plan = PlanOf(files, WeightMode::kAsStored);
  const std::vector<FormatId> formats = FormatsOf(options, plan);
  if (options.importance != nullptr) WarnOfMissing(*options.importance, plan);
  std::optional<LayerStore> store;
  if (options.feedback.calibration != nullptr) {
    RequireRunnable(plan.config, files.path.string());
    if (options.feedback.fisher == nullptr) WarnOfFewTokens(*options.feedback.calibration, plan);  // else its maker has
    store.emplace(output, GgufFeedbackKey(files, formats, options.feedback));
    Context context(Numerics::kFast, options.threads);
    SolveGguf(files, PlanOf(files, WeightMode::kF32), formats, options.feedback, context, *store, options.quiet);
  }
  Writer writer(files, options, plan, formats, store ? &*store : nullptr);
  writer.Write(output);
  GgufMade made{fs::file_size(output), plan.stored_bytes(), writer.errors(), {}};
  if (!store) return made;
  made.changes = store->Changes();
  store->Finish();
  return made;
}

QuantizeReport QuantizeGguf(const fs::path& source, const fs::path& output, const GgufOptions& options) {
  const ReportFrame frame(options.threads);
  const GgufMade made = MakeGguf(source, output, options);
  return frame.Finish(output, made.bytes, made.source_bytes, made.errors, made.changes);
}

}  // namespace qad
