#include "quantize/group_folder.h"

#include <cmath>
#include <memory>
#include <vector>

#include "base/error.h"
#include "kernels/elementwise.h"
#include "model/source.h"

namespace qad {

std::string MethodName(GroupMethod method) {
  switch (method) {
    case GroupMethod::kRtn:
      return "rtn";
    case GroupMethod::kGptq:
      return "gptq";
    case GroupMethod::kAwq:
      return "awq";
    case GroupMethod::kAwqGptq:
      return "awq+gptq";
  }
  QAD_CHECK(false);
}

unsigned ZeroOffset(const GroupModelOptions& options) {
  return options.packing == Packing::kGptq && options.groups.symmetric ? 1 : 0;
}

Json GroupQuantizationConfig(const GroupModelOptions& options) {
  const GroupOptions& groups = options.groups;
  const int group_size = groups.group_size == 0 ? -1 : static_cast<int>(groups.group_size);
  Json meta{{"quantizer", {"qad"}}, {"method", MethodName(options.method)}};
  if (options.packing == Packing::kAwq)
    return {{"quant_method", "awq"}, {"bits", groups.bits}, {"group_size", group_size},
            {"zero_point", true},    {"version", "gemm"},   {"modules_to_not_convert", nullptr},
            {"meta", meta}};
  if (options.packing == Packing::kCompressed) {
    const Json weights{{"num_bits", groups.bits},
                       {"type", "int"},
                       {"symmetric", groups.symmetric},
                       {"strategy", groups.group_size == 0 ? "channel" : "group"},
                       {"group_size", groups.group_size == 0 ? Json() : Json(group_size)},
                       {"dynamic", false},
                       {"actorder", nullptr},
                       {"block_structure", nullptr}};
    return {{"quant_method", "compressed-tensors"},
            {"format", "pack-quantized"},
            {"quantization_status", "compressed"},
            {"config_groups",
             {{"group_0",
               {{"targets", {"Linear"}},
                {"weights", weights},
                {"input_activations", nullptr},
                {"output_activations", nullptr}}}}},
            {"ignore", {"lm_head"}},
            {"kv_cache_scheme", nullptr},
            {"meta", meta}};
  }
  return {{"quant_method", "gptq"},
          {"bits", groups.bits},
          {"group_size", group_size},
          {"sym", groups.symmetric},
          {"desc_act", options.act_order},
          {"static_groups", options.act_order},
          {"true_sequential", true},
          {"damp_percent", options.damping},
          {"lm_head", false},
          {"checkpoint_format", ZeroOffset(options) == 1 ? "gptq" : "gptq_v2"},
          {"meta", meta}};
}

std::string BaseName(const TensorSpec& spec) { return spec.name.substr(0, spec.name.rfind('.')); }

void WriteGroupWeights(const std::filesystem::path& path, const ModelFiles& files, const Plan& plan,
                       const LayerStore& store) {
  std::vector<TensorToWrite> tensors;
  std::vector<std::unique_ptr<SafetensorsFile>> layers;
  for (size_t layer = 0; layer < plan.config.layers; ++layer) {
    layers.push_back(store.Open(layer));
    for (const auto& [name, entry] : layers.back()->tensors())
      tensors.push_back({name, entry.dtype, entry.shape, entry.bytes});
  }
  std::vector<std::byte> buffer;
  for (const TensorSpec& spec : plan.tensors) {
    if (spec.layer >= 0) continue;
    const bool vector = spec.bias || IsNorm(spec.role);
    const FormatId format = vector ? FormatId::kF32 : FormatId::kF16;
    std::vector<int64_t> shape = {static_cast<int64_t>(spec.rows), static_cast<int64_t>(spec.cols)};
    if (vector) shape.erase(shape.begin());
    tensors.push_back(
        {spec.name, vector ? DType::kF32 : DType::kF16, shape, {}, [&files, &plan, &spec, &buffer, format] {
           const TensorSource source = FindSource(files, plan.config, spec);
           const size_t bytes = GetFormat(format).RowBytes(spec.cols);
           buffer.resize(spec.rows * bytes);
           bool finite = true;
#pragma omp parallel for schedule(static) reduction(&& : finite)
           for (int64_t r = 0; r < static_cast<int64_t>(spec.rows); ++r) {
             const auto row = static_cast<size_t>(r);
             std::vector<float> values(spec.cols);
             source.ReadRow(row, values.data());
             GetFormat(format).encode_row(values.data(), buffer.data() + row * bytes, spec.cols);
             GetFormat(format).decode_row(buffer.data() + row * bytes, values.data(), spec.cols);
             finite = std::isfinite(SumOfSquares(values.data(), values.size())) && finite;
           }
           if (!finite)
             Fail(ErrorKind::kNumeric, "{}: tensor \"{}\" holds NaN, or values beyond f16", files.path.string(),
                  spec.name);
           files.DropPages();
           return std::span<const std::byte>(buffer);
         }});
  }
  WriteSafetensors(path, std::move(tensors));
}

}  // namespace qad
