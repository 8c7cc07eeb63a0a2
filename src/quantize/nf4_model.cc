#include "quantize/nf4_model.h"

#include <array>
#include <cmath>
#include <deque>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "formats/nf4.h"
#include "io/model_files.h"
#include "io/safetensors.h"
#include "kernels/fit_codes.h"
#include "model/source.h"
#include "model/weights.h"
#include "quantize/artefact.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr size_t kScaled = 64, kNested = 256;  // values of a scale, scales of a nested one

// The scale of the least squared error: shares of the largest magnitude, each then solved by least squares for the
// codes it gives. Never below zero, which nested scales want.
float ScaleOf(const float* x) {
  static constexpr std::array<float, kScaled> kAlike = [] {
    std::array<float, kScaled> ones{};
    ones.fill(1.0f);
    return ones;
  }();
  const float* table = Nf4Values().data();
  float largest = 0;
  for (size_t i = 0; i < kScaled; ++i) largest = std::max(largest, std::fabs(x[i]));
  if (largest == 0) return 0;
  std::array<int8_t, kScaled> codes;
  float best = HUGE_VALF, found = largest;
  const auto consider = [&](float scale) {
    const float error = RoundToTable(x, kAlike.data(), kScaled, table, scale, codes.data());
    if (!(error < best)) return;
    best = error;
    found = scale;
  };
  for (int step = 0; step <= 8; ++step) {
    consider(largest * (0.72f + 0.04f * static_cast<float>(step)));
    double up = 0, down = 0;
    (void)RoundToTable(x, kAlike.data(), kScaled, table, found, codes.data());
    for (size_t i = 0; i < kScaled; ++i) {
      const auto value = static_cast<double>(table[codes[i]]);
      up += value * static_cast<double>(x[i]);
      down += value * value;
    }
    if (up > 0 && down > 0) consider(static_cast<float>(up / down));
  }
  return found;
}

class Writer {
 public:
  Writer(const ModelFiles& files, const Nf4Options& options)
      : files_(files),
        options_(options),
        plan_(PlanOf(files, WeightMode::kAsStored)),
        dense_(plan_.Find(Role::kTokenEmbedding, -1)->stored == FormatId::kF16 ? DType::kF16 : DType::kBF16),
        progress_("quantize to NF4", 2 * Millions(plan_.parameters()), "M weights", options.quiet) {
    RequireNf4Fits(files, plan_);
  }

  void Write(const fs::path& path) {
    for (const TensorSpec& spec : plan_.tensors) IsBlockMatrix(spec) ? AddNf4(spec) : AddKept(spec);
    WriteSafetensors(path, std::move(tensors_));
  }

  const Plan& plan() const { return plan_; }
  std::vector<RoleError> errors() const { return errors_.ByRole(); }

 private:
  struct Scales {
    std::vector<float> plain;  // as they are decoded
    NestedScales nested;
    std::string state;
  };

  void AddNf4(const TensorSpec& spec) {
    const TensorSource source = FindSource(files_, plan_.config, spec);
    Scales& scales = scales_.emplace_back();
    scales.plain = Search(spec, source);
    const auto blocks = static_cast<int64_t>(scales.plain.size());
    Json state{{"quant_type", "nf4"}, {"blocksize", kScaled}, {"dtype", "bfloat16"}, {"shape", {spec.rows, spec.cols}}};
    if (options_.double_quantization) {
      scales.nested = NestScales(scales.plain, kNested);
      for (size_t i = 0; i < scales.plain.size(); ++i) scales.plain[i] = scales.nested.Scale(i, kNested);
      state.update({{"nested_blocksize", kNested},
                    {"nested_dtype", "float32"},
                    {"nested_offset", static_cast<double>(scales.nested.offset)}});
    }
    scales.state = state.dump();
    const auto add = [&](const char* part, DType dtype, int64_t count, std::span<const std::byte> bytes) {
      tensors_.push_back({fmt::format("{}.{}", spec.name, part), dtype, {count}, bytes});
    };
    if (options_.double_quantization) {
      add("absmax", DType::kU8, blocks, std::as_bytes(std::span(scales.nested.bytes)));
      add("nested_absmax", DType::kF32, static_cast<int64_t>(scales.nested.absmax.size()),
          std::as_bytes(std::span(scales.nested.absmax)));
      add("nested_quant_map", DType::kF32, kNestedMap, std::as_bytes(std::span(DynamicMap())));
    } else {
      add("absmax", DType::kF32, blocks, std::as_bytes(std::span(scales.plain)));
    }
    add("quant_map", DType::kF32, 16, std::as_bytes(std::span(Nf4Values())));
    add("quant_state.bitsandbytes__nf4", DType::kU8, static_cast<int64_t>(scales.state.size()),
        std::as_bytes(std::span(scales.state)));
    tensors_.push_back(
        {spec.name, DType::kU8, {static_cast<int64_t>(spec.elements() / 2), 1}, {}, [this, &spec, &scales, source] {
           return Codes(spec, source, scales.plain);
         }});
  }

  std::vector<float> Search(const TensorSpec& spec, const TensorSource& source) {
    const size_t blocks = spec.cols / kScaled;
    std::vector<float> scales(spec.rows * blocks);
    bool finite = true;
    ThrowIfInterrupted();
#pragma omp parallel for schedule(static) reduction(&& : finite)
    for (int64_t r = 0; r < static_cast<int64_t>(spec.rows); ++r) {
      const auto row = static_cast<size_t>(r);
      std::vector<float> values(spec.cols);
      source.ReadRow(row, values.data());
      for (size_t b = 0; b < blocks; ++b) scales[row * blocks + b] = ScaleOf(values.data() + b * kScaled);
      finite = AreFinite(values) && finite;
    }
    if (!finite) FailNotFinite(files_, spec.name);
    Finish(spec);
    return scales;
  }

  std::span<const std::byte> Codes(const TensorSpec& spec, const TensorSource& source,
                                   const std::vector<float>& scales) {
    const size_t blocks = spec.cols / kScaled;
    buffer_.assign(spec.elements() / 2, std::byte{0});
    std::vector<RowError> errors(spec.rows);
    ThrowIfInterrupted();
#pragma omp parallel for schedule(static)
    for (int64_t r = 0; r < static_cast<int64_t>(spec.rows); ++r) {
      const auto row = static_cast<size_t>(r);
      std::vector<float> values(spec.cols), decoded(spec.cols);
      const std::vector<float> alike(kScaled, 1.0f);
      source.ReadRow(row, values.data());
      std::array<int8_t, kScaled> codes;
      for (size_t b = 0; b < blocks; ++b) {
        const float scale = scales[row * blocks + b];
        const size_t first = b * kScaled;
        (void)RoundToTable(values.data() + first, alike.data(), kScaled, Nf4Values().data(), scale, codes.data());
        for (size_t i = 0; i < kScaled; ++i) {
          decoded[first + i] = scale * Nf4Values()[static_cast<size_t>(codes[i])];
          buffer_[(row * spec.cols + first + i) / 2] |= static_cast<std::byte>(codes[i] << (i % 2 == 0 ? 4 : 0));
        }
      }
      errors[row] = CompareRows(values, decoded);
    }
    errors_.Add(spec.role, SumOf(errors), spec.elements());
    Finish(spec);
    return buffer_;
  }

  void AddKept(const TensorSpec& spec) {
    tensors_.push_back(KeptTensor(files_, plan_.config, spec, dense_, buffer_));
    progress_.Advance(2 * Millions(spec.elements()));
  }

  void Finish(const TensorSpec& spec) {
    files_.DropPages();
    progress_.Advance(Millions(spec.elements()));
  }

  const ModelFiles& files_;
  const Nf4Options& options_;
  Plan plan_;
  DType dense_;  // of all that is not quantized: transformers wants one type
  Progress progress_;
  std::deque<Scales> scales_;  // spans point into it
  std::vector<TensorToWrite> tensors_;
  std::vector<std::byte> buffer_;  // of the tensor being written
  Errors errors_;
};

Json QuantizationConfig(const Nf4Options& options) {
  return {{"quant_method", "bitsandbytes"},
          {"_load_in_4bit", true},
          {"_load_in_8bit", false},
          {"load_in_4bit", true},
          {"load_in_8bit", false},
          {"bnb_4bit_quant_type", "nf4"},
          {"bnb_4bit_compute_dtype", "bfloat16"},
          {"bnb_4bit_quant_storage", "uint8"},
          {"bnb_4bit_use_double_quant", options.double_quantization},
          {"meta", {{"quantizer", {"qad"}}}}};
}

}  // namespace

void RequireNf4Fits(const ModelFiles& files, const Plan& plan) {
  for (const TensorSpec& spec : plan.tensors)
    if (IsBlockMatrix(spec) && spec.cols % kScaled != 0)
      FailInput(
          "{}: tensor \"{}\" has {} inputs, which NF4's blocks of {} do not divide; int8 and GGUF types take such rows",
          files.path.string(), spec.name, spec.cols, kScaled);
}

QuantizeReport QuantizeNf4(const fs::path& source, const fs::path& output, const Nf4Options& options) {
  const auto config = [&](const ModelFiles& files) { return ArtefactConfig(files, QuantizationConfig(options)); };
  return WriteFolder(source, output, config, options.threads, [&](const ModelFiles& files, const fs::path& path) {
    Writer writer(files, options);
    writer.Write(path);
    return WrittenWeights{writer.plan().stored_bytes(), writer.errors()};
  });
}

}  // namespace qad
