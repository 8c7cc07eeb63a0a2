#include "quantize/group_folder.h"

#include <memory>
#include <vector>

#include "quantize/artefact.h"

namespace qad {

unsigned ZeroOffset(const GroupModelOptions& options) {
  return options.packing == Packing::kGptq && options.groups.symmetric ? 1 : 0;
}

Json GroupQuantizationConfig(const GroupModelOptions& options) {
  const GroupOptions& groups = options.groups;
  const int group_size = groups.group_size == 0 ? -1 : static_cast<int>(groups.group_size);
  Json meta{{"quantizer", {"qad"}}, {"method", MethodName(options.method)}};
  if (options.method == GroupMethod::kGptq || options.method == GroupMethod::kAwqGptq)
    meta["act_order"] = options.act_order;
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
          {"desc_act", false},  // groups are of neighbours, whatever the order they were solved in
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
  const SafetensorsFile* last = nullptr;  // whose pages are given back when another layer's turn comes
  for (size_t layer = 0; layer < plan.config.layers; ++layer) {
    layers.push_back(store.Open(layer));
    for (const auto& [name, entry] : layers.back()->tensors())
      tensors.push_back({name, entry.dtype, entry.shape, {}, [&last, file = layers.back().get(), bytes = entry.bytes] {
                           if (last != nullptr && last != file) last->file().DropPages();
                           last = file;
                           return bytes;
                         }});
  }
  std::vector<std::byte> buffer;
  for (const TensorSpec& spec : plan.tensors) {
    if (spec.layer >= 0) continue;
    tensors.push_back(KeptTensor(files, plan.config, spec, IsVector(spec) ? DType::kF32 : DType::kF16, buffer));
  }
  WriteSafetensors(path, std::move(tensors));
}

}  // namespace qad
