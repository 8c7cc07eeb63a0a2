#include "model/foreign.h"

#include <algorithm>
#include <cstring>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"

namespace qad {

std::string ShapeText(const std::vector<int64_t>& shape) {
  std::string text = "(";
  for (const int64_t n : shape) text += (text.size() > 1 ? ", " : "") + std::to_string(n);
  return text + ")";
}

// GPT-2 checkpoints are found with and without the leading "transformer.".
const SafetensorsEntry* FindEntry(const ModelFiles& files, const std::string& name) {
  if (const SafetensorsEntry* entry = files.Find(name); entry != nullptr) return entry;
  constexpr std::string_view kPrefix = "transformer.";
  return name.starts_with(kPrefix) ? files.Find(name.substr(kPrefix.size())) : nullptr;
}

namespace {

// The four tensors of a matrix in groups, by the name of its module; null where there is none.
const SafetensorsEntry* FindPart(const ModelFiles& files, const TensorSpec& spec, const char* part) {
  return spec.bias ? nullptr : FindEntry(files, spec.name.substr(0, spec.name.rfind('.') + 1) + part);
}

// What quantization_config says of a folder.
struct Quantization {
  std::string method;
  bool symmetric = false;
  unsigned zero_offset = 0;
  int64_t group_size = 0;  // −1: a whole row; 0: not said
};
Quantization QuantizationOf(const ModelFiles& files) {
  std::filesystem::path path = files.path / "config.json";
  Json config = ReadJsonFile(path);
  if (config.contains("quantization_config")) {
    config = Json(config["quantization_config"]);
  } else {  // older folders of GPTQ have a file of their own
    path = files.path / "quantize_config.json";
    if (!std::filesystem::exists(path)) return {};
    config = ReadJsonFile(path);
    if (config.is_object() && !config.contains("quant_method")) config["quant_method"] = "gptq";
  }
  const JsonObject json(config, path.string());
  Quantization out;
  out.method = json.StringOr("quant_method", "");
  out.symmetric = json.BoolOr("sym", false);
  out.group_size = json.IntOr("group_size", -1, 1 << 20, 0);
  // Without a word of it the first version is meant, which holds zeros less one.
  const std::string format = json.StringOr("checkpoint_format", "gptq");
  if (out.method == "gptq" && format != "gptq" && format != "gptq_v2")
    FailInput("{}: checkpoint_format \"{}\" is not read by this version, which knows gptq and gptq_v2", json.where(),
              format);
  if (out.method == "gptq") out.zero_offset = format == "gptq_v2" ? 0 : 1;
  if (const std::string version = json.StringOr("version", "gemm");
      out.method == "awq" && version != "gemm" && version != "GEMM")
    FailInput("{}: version \"{}\" of AWQ is not read by this version, which knows gemm", json.where(),
              json.String("version"));
  if (out.method == "compressed-tensors") {
    if (const std::string layout = json.StringOr("format", ""); layout != "pack-quantized")
      FailInput("{}: format \"{}\" of compressed-tensors is not read by this version, which knows pack-quantized",
                json.where(), layout);
  }
  return out;
}

void RequireShape(const SafetensorsEntry* entry, DType dtype, const std::vector<int64_t>& shape, const char* part,
                  const std::string& what) {
  if (entry == nullptr) FailInput("{}: \"{}\" is missing; is the model complete?", what, part);
  if (entry->dtype != dtype || entry->shape != shape)
    FailInput("{}: \"{}\" is {} {}, expected {} {}", what, part, DTypeName(entry->dtype), ShapeText(entry->shape),
              DTypeName(dtype), ShapeText(shape));
}

void TakeOrder(const SafetensorsEntry* group_of, const char* part, const std::string& what, GroupedView& view) {
  if (group_of == nullptr) return;
  RequireShape(group_of, DType::kI32, {static_cast<int64_t>(view.cols)}, part, what);
  view.group_of = group_of->bytes.data();
  for (size_t col = 0; col < view.cols; ++col)
    if (view.GroupOf(col) >= view.groups())
      FailInput("{}: \"{}\" puts input {} into group {} of {}", what, part, col,
                static_cast<int32_t>(view.GroupOf(col)), view.groups());
}

ScaleType ScaleTypeOf(const SafetensorsEntry& scales, const char* part, const std::string& what) {
  if (scales.dtype == DType::kF16) return ScaleType::kF16;
  if (scales.dtype == DType::kBF16) return ScaleType::kBF16;
  if (scales.dtype == DType::kF32) return ScaleType::kF32;
  FailInput("{}: \"{}\" is {}, expected F16, BF16 or F32", what, part, DTypeName(scales.dtype));
}

// The tensors of compressed-tensors.
GroupedView FindCompressed(const ModelFiles& files, const TensorSpec& spec, const SafetensorsEntry* codes,
                           const std::string& what) {
  if (const std::string method = QuantizationOf(files).method; method != "compressed-tensors")
    FailInput("{}: has a \"weight_packed\", but config.json's quant_method is \"{}\"", what, method);
  const SafetensorsEntry *zeros = FindPart(files, spec, "weight_zero_point"),
                         *scales = FindPart(files, spec, "weight_scale");
  const auto rows = static_cast<int64_t>(spec.rows), cols = static_cast<int64_t>(spec.cols);
  if (scales == nullptr || scales->shape.size() != 2 || scales->shape[0] != rows || scales->shape[1] <= 0 ||
      cols % scales->shape[1] != 0)
    FailInput("{}: \"weight_scale\" is missing or not ({} outputs, groups) with groups that divide {} inputs", what,
              rows, cols);
  GroupedView view{.packing = Packing::kCompressed,
                   .rows = spec.rows,
                   .cols = spec.cols,
                   .group = static_cast<size_t>(cols / scales->shape[1])};
  if (codes->shape.size() == 2) view.bits = static_cast<int>(codes->shape[1] * 32 / std::max<int64_t>(cols, 1));
  if ((view.bits != 2 && view.bits != 3 && view.bits != 4 && view.bits != 8) ||
      !CanPack(view.packing, view.bits, zeros == nullptr ? 32 : spec.rows, spec.cols))
    FailInput(
        "{}: \"weight_packed\" of shape {} holds codes of {} bits; this version reads 2, 3, 4 and 8 that fill whole "
        "words",
        what, ShapeText(codes->shape), view.bits);
  RequireShape(codes, DType::kI32, {rows, static_cast<int64_t>(PackedWords(spec.cols, view.bits))}, "weight_packed",
               what);
  if (zeros != nullptr)
    RequireShape(zeros, DType::kI32, {static_cast<int64_t>(PackedWords(spec.rows, view.bits)), scales->shape[1]},
                 "weight_zero_point", what);
  view.scale_type = ScaleTypeOf(*scales, "weight_scale", what);
  view.codes = codes->bytes.data();
  view.zeros = zeros == nullptr ? nullptr : zeros->bytes.data();
  view.scales = scales->bytes.data();
  TakeOrder(FindPart(files, spec, "weight_g_idx"), "weight_g_idx", what, view);
  return view;
}

// A part of a matrix's own tensor: "….weight.absmax".
const SafetensorsEntry* FindOwn(const ModelFiles& files, const TensorSpec& spec, const char* part) {
  return spec.bias ? nullptr : FindEntry(files, spec.name + "." + part);
}

// The floats of a small tensor of exactly so many.
const std::byte* RequireFloats(const SafetensorsEntry* entry, size_t count, const char* part, const std::string& what) {
  RequireShape(entry, DType::kF32, {static_cast<int64_t>(count)}, part, what);
  return entry->bytes.data();
}

FormatId FormatOf(const GroupedView& view) {
  return view.packing == Packing::kGptq  ? FormatId::kGptq
         : view.packing == Packing::kAwq ? FormatId::kAwq
                                         : FormatId::kCompressed;
}

}  // namespace

// Sizes are taken from the tensors and held against each other.
std::optional<GroupedView> FindGrouped(const ModelFiles& files, const TensorSpec& spec) {
  const std::string what = fmt::format("{}: tensor \"{}\"", files.path.string(), spec.name);
  if (const SafetensorsEntry* packed = FindPart(files, spec, "weight_packed"); packed != nullptr)
    return FindCompressed(files, spec, packed, what);
  const SafetensorsEntry* codes = FindPart(files, spec, "qweight");
  if (codes == nullptr) return std::nullopt;
  const Quantization quantization = QuantizationOf(files);
  if (quantization.method != "gptq" && quantization.method != "awq")
    FailInput("{}: has a \"qweight\", but config.json's quant_method is \"{}\"; this version reads gptq and awq", what,
              quantization.method);
  const SafetensorsEntry *zeros = FindPart(files, spec, "qzeros"), *scales = FindPart(files, spec, "scales"),
                         *group_of = FindPart(files, spec, "g_idx");
  const auto rows = static_cast<int64_t>(spec.rows), cols = static_cast<int64_t>(spec.cols);
  if (scales == nullptr || scales->shape.size() != 2 || scales->shape[0] <= 0 || cols % scales->shape[0] != 0)
    FailInput("{}: \"scales\" is missing or not ({} outputs) wide in groups that divide {} inputs", what, rows, cols);
  GroupedView view{.packing = quantization.method == "awq" ? Packing::kAwq : Packing::kGptq,
                   .rows = spec.rows,
                   .cols = spec.cols,
                   .group = static_cast<size_t>(cols / scales->shape[0]),
                   .zero_offset = quantization.zero_offset};
  const bool gptq = view.packing == Packing::kGptq;
  if (gptq && codes->shape.size() == 2) view.bits = static_cast<int>(codes->shape[0] * 32 / std::max<int64_t>(cols, 1));
  if (view.bits != 2 && view.bits != 3 && view.bits != 4 && view.bits != 8)
    FailInput("{}: \"qweight\" of shape {} holds codes of {} bits, this version reads 2, 3, 4 and 8", what,
              ShapeText(codes->shape), view.bits);
  if (!CanPack(view.packing, view.bits, spec.rows, spec.cols))
    FailInput("{}: codes of {} bits do not fill whole words", what, view.bits);
  const int64_t groups = scales->shape[0], words = static_cast<int64_t>(PackedWords(spec.rows, view.bits));
  RequireShape(codes, DType::kI32, {gptq ? cols * view.bits / 32 : cols, gptq ? rows : rows / 8}, "qweight", what);
  RequireShape(zeros, DType::kI32, {groups, gptq ? words : rows / 8}, "qzeros", what);
  view.scale_type = ScaleTypeOf(*scales, "scales", what);
  RequireShape(scales, scales->dtype, {groups, rows}, "scales", what);
  if (quantization.group_size > 0 && static_cast<size_t>(quantization.group_size) != view.group)
    FailInput("{}: its scales are of groups of {}, the configuration says group_size {}", what, view.group,
              quantization.group_size);
  view.codes = codes->bytes.data();
  view.zeros = zeros->bytes.data();
  view.scales = scales->bytes.data();
  // The label lies in some published files: symmetric zeros tell by themselves.
  if (gptq && quantization.symmetric) {
    const unsigned middle = 1u << (view.bits - 1), offset = std::exchange(view.zero_offset, 0u),
                   stored = view.Zero(0, 0);
    view.zero_offset = stored == middle ? 0 : stored + 1 == middle ? 1 : offset;
  }
  if (gptq) TakeOrder(group_of, "g_idx", what, view);
  return view;
}

// The tensors of bitsandbytes, in the state that it writes for safetensors.
std::optional<Nf4View> FindNf4(const ModelFiles& files, const TensorSpec& spec) {
  constexpr const char* kState = "quant_state.bitsandbytes__nf4";
  if (FindOwn(files, spec, "quant_state.bitsandbytes__fp4") != nullptr)
    FailInput("{}: tensor \"{}\" is in FP4 of bitsandbytes; this version reads its NF4", files.path.string(),
              spec.name);
  const SafetensorsEntry *state = FindOwn(files, spec, kState), *codes = FindEntry(files, spec.name),
                         *absmax = FindOwn(files, spec, "absmax");
  if (state == nullptr) return std::nullopt;
  const std::string what = fmt::format("{}: tensor \"{}\"", files.path.string(), spec.name);
  const std::string text(reinterpret_cast<const char*>(state->bytes.data()), state->bytes.size());
  const Json parsed = ParseJson(text, what + ": " + kState);
  const JsonObject json(parsed, what + ": " + kState);
  Nf4View view{.rows = spec.rows, .cols = spec.cols};
  view.block = static_cast<size_t>(json.Int("blocksize", 1, 1 << 20));
  const auto count = static_cast<int64_t>(spec.elements()),
             blocks = (count + static_cast<int64_t>(view.block) - 1) / static_cast<int64_t>(view.block);
  if (parsed.value("shape", Json()) != Json{spec.rows, spec.cols})
    FailInput("{}: is of shape {} by its state, the configuration says ({}, {})", what,
              parsed.value("shape", Json()).dump(), spec.rows, spec.cols);
  RequireShape(codes, DType::kU8, {(count + 1) / 2, 1}, "weight", what);
  const std::byte* map = RequireFloats(FindOwn(files, spec, "quant_map"), 16, "quant_map", what);
  if (std::memcmp(map, Nf4Values().data(), 16 * sizeof(float)) != 0)
    FailInput("{}: \"quant_map\" holds other values than NF4's", what);
  const bool nested = json.Has("nested_blocksize");
  RequireShape(absmax, nested ? DType::kU8 : DType::kF32, {blocks}, "absmax", what);
  view.codes = codes->bytes.data();
  view.absmax = absmax->bytes.data();
  view.stored_bytes = codes->bytes.size() + absmax->bytes.size();
  if (!nested) return view;
  view.nested_block = static_cast<size_t>(json.Int("nested_blocksize", 1, 1 << 20));
  view.offset = static_cast<float>(json.Number("nested_offset", -1e30, 1e30));
  const size_t outer = (static_cast<size_t>(blocks) + view.nested_block - 1) / view.nested_block;
  view.nested_absmax = RequireFloats(FindOwn(files, spec, "nested_absmax"), outer, "nested_absmax", what);
  view.nested_map = RequireFloats(FindOwn(files, spec, "nested_quant_map"), kNestedMap, "nested_quant_map", what);
  view.stored_bytes += outer * sizeof(float);
  return view;
}

StoredAs StoredNf4(const Nf4View& view) {
  StoredAs stored(FormatId::kNf4);
  stored.bits = 4;
  stored.group = view.block;
  stored.in_order = view.cols % view.block == 0;
  stored.bytes = view.stored_bytes;
  return stored;
}

StoredAs StoredGrouped(const GroupedView& view) {
  StoredAs stored(FormatOf(view));
  stored.bits = static_cast<uint8_t>(view.bits);
  stored.group = view.group;
  stored.in_order = view.InOrder() && view.ScalesAreF16();
  stored.symmetric = view.bits == 8 && view.Symmetric();
  stored.bytes = view.bytes();
  return stored;
}

}  // namespace qad
