// Where a planned tensor lies in a model's files, and how to bring one of its rows into a runtime layout: Conv1D's
// transposition and GGUF's interleaved rotary rows are undone here and nowhere else.
#pragma once

#include <optional>

#include "formats/grouped.h"
#include "formats/nf4.h"
#include "io/model_files.h"
#include "model/plan.h"

namespace qad {

// Where the converter of architecture llama puts a row of Q or K: value (half s, pair j) of a head at 2j + s.
constexpr size_t InterleavedRow(size_t row, size_t head_dim) {
  const size_t half = head_dim / 2, head = row / head_dim, inside = row % head_dim;
  return head * head_dim + 2 * (inside % half) + inside / half;
}

// Whether rows of this role lie so in the family's GGUF files.
inline bool IsInterleavedInGguf(const ModelConfig& config, Role role) {
  return config.family->traits.gguf_permutes_qk && (role == Role::kQ || role == Role::kK);
}

struct TensorSource {
  FormatId format = FormatId::kF32;
  size_t rows = 0, cols = 0;  // of the planned tensor
  const std::byte* data = nullptr;
  const std::byte* scales = nullptr;  // int8: (rows) f32 in a tensor of its own
  GroupedView grouped{};              // GPTQ, AWQ, compressed-tensors
  Nf4View nf4{};                      // bitsandbytes
  bool transposed = false;            // the file holds (cols, rows)
  size_t rotary_head_dim = 0;         // > 0: rows of each head are interleaved in the file

  // Row `row` into `view` (whose layout is dense, or LayoutFor(format)).
  void CopyRow(size_t row, const MatrixView& view) const;
  void ReadRow(size_t row, float* out) const;

 private:
  void PlaceIntegerRow(size_t row, const MatrixView& view) const;
  void PlaceGroupedRow(size_t row, const MatrixView& view) const;
  void PlaceNf4Row(size_t row, const MatrixView& view) const;
  size_t StoredRow(size_t row) const { return rotary_head_dim == 0 ? row : InterleavedRow(row, rotary_head_dim); }
};

// Errors (kInput): as FindSource, of tensors in groups.
std::optional<StoredAs> StoredFormatIn(const ModelFiles& files, const TensorSpec& spec);

// Errors (kInput): missing, another shape, a type that cannot be decoded.
TensorSource FindSource(const ModelFiles& files, const ModelConfig& config, const TensorSpec& spec);

}  // namespace qad
