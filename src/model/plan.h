// The plan: every tensor of a model with its name, role, shape, stored format, runtime layout and bytes. The loader,
// the quantizers, LoRA target selection, the writers and the memory estimator consume this one list.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "formats/format.h"
#include "kernels/matrix.h"
#include "model/config.h"

namespace qad {

// How a tensor lies in its file. Of formats in groups (GPTQ, AWQ) more than the format must be known.
struct StoredAs {
  FormatId format = FormatId::kF32;
  uint8_t bits = 0;
  size_t group = 0;        // inputs that share a scale; 0: no format in groups
  bool in_order = true;    // groups lie one after another, and their scales are f16's
  bool symmetric = false;  // of 8 bits: every zero is the middle code
  size_t bytes = 0;

  StoredAs(FormatId id = FormatId::kF32) : format(id) {}  // NOLINT(google-explicit-constructor): most say no more
};

struct TensorSpec {
  std::string name;       // Hugging Face parameter name: "model.layers.0.mlp.up_proj.weight"
  std::string gguf_name;  // "blk.0.ffn_up.weight"
  Role role = Role::kQ;
  int layer = -1;
  bool bias = false;
  size_t rows = 0, cols = 0;          // (outputs, inputs); vectors are (1, n)
  FormatId stored = FormatId::kBF16;  // as it lies in the file
  Layout layout = Layout::kF32;       // as it lies in memory
  uint8_t group_shift = 0;            // MatrixView::group_shift
  size_t grouped_bytes = 0;           // in the file, of formats in groups
  int group = 0;                      // tensors of one group and layout lie side by side and are multiplied as one

  size_t elements() const { return rows * cols; }
  size_t stored_bytes() const { return grouped_bytes > 0 ? grouped_bytes : rows * GetFormat(stored).RowBytes(cols); }
  size_t code_bytes() const { return LayoutRows(layout, rows) * LayoutRowBytes(layout, cols); }
  size_t scale_bytes() const { return LayoutRows(layout, rows) * LayoutScaleBytes(layout, cols, group_shift); }
  size_t bytes() const { return code_bytes() + scale_bytes(); }
};
inline bool IsVector(const TensorSpec& spec) { return spec.bias || IsNorm(spec.role); }
// A matrix of a decoder block's linear operations.
inline bool IsBlockMatrix(const TensorSpec& spec) {
  return IsLinear(spec.role) && spec.role != Role::kHead && !spec.bias;
}

// How matrices are held: as they are stored, or decoded to one dense type. Norms, biases are f32 always.
enum class WeightMode : uint8_t { kAsStored, kF32, kBF16 };
WeightMode WeightModeOf(std::string_view name);  // "as-stored", "f32", "bf16"; aborts on any other

struct Plan {
  ModelConfig config;
  std::vector<TensorSpec> tensors;

  size_t parameters() const;
  size_t stored_bytes() const;
  // What Weights will allocate: layouts, scales, and the padding of each group to whole cache lines.
  size_t weight_bytes() const;
  const TensorSpec* Find(Role role, int layer, bool bias = false) const;
};

inline constexpr size_t kAlignment = 64;
inline size_t AlignUp(size_t bytes) { return (bytes + kAlignment - 1) / kAlignment * kAlignment; }

// How a tensor is stored, asked by spec; nullopt where the file lacks it.
using StoredFormatOf = std::function<std::optional<StoredAs>(const TensorSpec&)>;

// Errors (kInput): none of its own; a missing tensor is the loader's error.
Plan MakePlan(const ModelConfig& config, WeightMode mode, const StoredFormatOf& stored_format);

// The layout that holds a stored format without loss.
Layout LayoutFor(FormatId stored);
// Of formats in groups: integers where groups are whole blocks in their order, else f32.
Layout LayoutFor(const StoredAs& stored);
uint8_t GroupShiftFor(const StoredAs& stored);

}  // namespace qad
