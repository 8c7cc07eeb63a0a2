#include "model/gguf_types.h"

#include <algorithm>
#include <array>

#include "base/error.h"

namespace qad {
namespace {

constexpr GgufFileType kTypes[] = {
    {"F32", FormatId::kF32, 0},      {"F16", FormatId::kF16, 1},        {"BF16", FormatId::kBF16, 32},
    {"Q8_0", FormatId::kQ8_0, 7},    {"Q6_K", FormatId::kQ6_K, 18},     {"Q5_K_M", FormatId::kQ5_K, 17},
    {"Q5_K_S", FormatId::kQ5_K, 16}, {"Q5_1", FormatId::kQ5_1, 9},      {"Q5_0", FormatId::kQ5_0, 8},
    {"Q4_K_M", FormatId::kQ4_K, 15}, {"Q4_K_S", FormatId::kQ4_K, 14},   {"Q4_1", FormatId::kQ4_1, 3},
    {"Q4_0", FormatId::kQ4_0, 2},    {"IQ4_NL", FormatId::kIQ4_NL, 25}, {"Q3_K_L", FormatId::kQ3_K, 13},
    {"Q3_K_M", FormatId::kQ3_K, 12}, {"Q3_K_S", FormatId::kQ3_K, 11},   {"Q2_K", FormatId::kQ2_K, 10},
};

bool IsDense(FormatId format) { return GetFormat(format).block == 1; }

// The first eighth of the layers, the last, and every third between them.
bool UseMoreBits(size_t layer, size_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

class Rules {
 public:
  Rules(const GgufFileType& type, const ModelConfig& config, bool importance)
      : type_(type), config_(config), importance_(importance) {}

  FormatId Of(const TensorSpec& spec) const {
    if (IsVector(spec)) return FormatId::kF32;
    if (spec.role == Role::kPositionEmbedding) return FormatId::kF32;
    if (IsDense(type_.format)) return type_.format;
    return FallbackFor(Wanted(spec), spec.cols);
  }

 private:
  bool Is(std::string_view name) const { return type_.name == name; }

  FormatId Wanted(const TensorSpec& spec) const {
    const auto layer = static_cast<size_t>(std::max(spec.layer, 0));
    const size_t layers = config_.layers;
    switch (spec.role) {
      case Role::kHead:
        return OfHead(spec);
      case Role::kTokenEmbedding:
        return config_.tied_head ? OfHead(spec) : type_.format;
      case Role::kV:
        return OfValues(layer, layers);
      case Role::kQkv:
        if (Is("Q3_K_M") || Is("Q3_K_L")) return FormatId::kQ4_K;
        if (Is("Q4_K_M")) return FormatId::kQ5_K;
        return Is("Q5_K_M") ? FormatId::kQ6_K : type_.format;
      case Role::kO:
        if (Is("Q2_K")) return FormatId::kQ3_K;
        if (Is("Q3_K_M")) return FormatId::kQ4_K;
        return Is("Q3_K_L") ? FormatId::kQ5_K : type_.format;
      case Role::kDown:
        return OfDown(layer, layers);
      default:
        return type_.format;
    }
  }

  FormatId OfHead(const TensorSpec& spec) const {
    if (type_.format == FormatId::kQ8_0 || !GetFormat(FormatId::kQ6_K).Divides(spec.cols)) return FormatId::kQ8_0;
    return FormatId::kQ6_K;
  }

  FormatId OfValues(size_t layer, size_t layers) const {
    const FormatId format = OfAnyValues(layer, layers);
    // Of what llama.cpp takes for 70B, where v is small beside the rest.
    const bool is_70b = layers == 80 && config_.heads != config_.kv_heads;
    return is_70b && (format == FormatId::kQ3_K || format == FormatId::kQ4_K) ? FormatId::kQ5_K : format;
  }

  FormatId OfAnyValues(size_t layer, size_t layers) const {
    if (Is("Q2_K")) return config_.heads / config_.kv_heads >= 4 ? FormatId::kQ4_K : FormatId::kQ3_K;
    if (Is("Q3_K_M")) return layer < 2 ? FormatId::kQ5_K : FormatId::kQ4_K;
    if (Is("Q3_K_L")) return FormatId::kQ5_K;
    if ((Is("Q4_K_M") || Is("Q5_K_M")) && UseMoreBits(layer, layers)) return FormatId::kQ6_K;
    if (Is("Q4_K_S") && layer < 4) return FormatId::kQ5_K;
    if (Is("IQ4_NL") && config_.heads / config_.kv_heads >= 4) return FormatId::kQ5_K;
    return type_.format;
  }

  FormatId OfDown(size_t layer, size_t layers) const {
    if (Is("Q2_K")) return FormatId::kQ3_K;
    if (Is("Q3_K_M")) return layer < layers / 16 ? FormatId::kQ5_K : FormatId::kQ4_K;
    if (Is("Q3_K_L")) return FormatId::kQ5_K;
    if ((Is("Q4_K_M") || Is("Q5_K_M")) && UseMoreBits(layer, layers)) return FormatId::kQ6_K;
    if (layer >= layers / 8) return type_.format;
    if (Is("Q4_K_S") || (Is("IQ4_NL") && !importance_)) return FormatId::kQ5_K;
    if (importance_ && Is("Q4_0")) return FormatId::kQ4_1;
    return importance_ && Is("Q5_0") ? FormatId::kQ5_1 : type_.format;
  }

  const GgufFileType& type_;
  const ModelConfig& config_;
  bool importance_;
};

}  // namespace

std::span<const GgufFileType> GgufFileTypes() { return kTypes; }

const GgufFileType* FindGgufFileType(std::string_view name) {
  const auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; };
  for (const GgufFileType& type : kTypes)
    if (std::ranges::equal(type.name, name, {}, lower, lower)) return &type;
  return nullptr;
}

std::vector<FormatId> AssignFormats(const GgufFileType& type, const Plan& plan, bool importance) {
  const Rules rules(type, plan.config, importance);
  std::vector<FormatId> formats;
  for (const TensorSpec& spec : plan.tensors) formats.push_back(rules.Of(spec));
  return formats;
}

FormatId FallbackFor(FormatId format, size_t cols) {
  if (!GetFormat(format).Divides(cols)) {
    switch (format) {
      case FormatId::kQ2_K:
      case FormatId::kQ3_K:
        format = FormatId::kIQ4_NL;
        break;
      case FormatId::kQ4_K:
        format = FormatId::kQ5_0;
        break;
      case FormatId::kQ5_K:
        format = FormatId::kQ5_1;
        break;
      case FormatId::kQ6_K:
        format = FormatId::kQ8_0;
        break;
      default:
        break;
    }
  }
  return GetFormat(format).Divides(cols) ? format : FormatId::kF16;  // nothing of blocks fits
}

}  // namespace qad
