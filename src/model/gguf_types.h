// Which type each tensor of a GGUF file gets: llama.cpp's file types ("Q4_K_M") as its quantizer hands them out, so
// that files of one name compare like with like. Rules of llama.cpp's llama_tensor_get_type as llama-cpp-python 0.3.36
// carries it (bench/quantize/gguf_types.py compares sizes, a test those of published files), without those for
// mixtures of experts.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/format.h"
#include "model/plan.h"

namespace qad {

struct GgufFileType {
  std::string_view name;  // "Q4_K_M"
  FormatId format;        // of most tensors
  uint32_t number;        // general.file_type: llama.h, enum llama_ftype
};
std::span<const GgufFileType> GgufFileTypes();
const GgufFileType* FindGgufFileType(std::string_view name);  // case-insensitive; null where unknown

// The format of every tensor of `plan`, in its order. Vectors are f32; rows that do not divide into super-blocks take
// llama.cpp's fallback. `importance`: whether there is an importance matrix, which Q4_0 and Q5_0 look at.
std::vector<FormatId> AssignFormats(const GgufFileType& type, const Plan& plan, bool importance);

// The format that stands in for one whose blocks do not divide the row.
FormatId FallbackFor(FormatId format, size_t cols);

}  // namespace qad
