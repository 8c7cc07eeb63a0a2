// The weights of one model in their runtime layouts, in one allocation that is as large as the plan says.
#pragma once

#include <memory>
#include <vector>

#include "base/huge_pages.h"
#include "io/model_files.h"
#include "model/plan.h"

namespace qad {

// One allocation (base/huge_pages.h), uninitialised, given out in cache-line aligned pieces.
class Arena {
 public:
  Arena() = default;
  explicit Arena(size_t bytes);
  std::byte* Take(size_t bytes);  // aligned; aborts beyond the end
  size_t size() const { return size_; }
  size_t used() const { return used_; }

 private:
  HugeBytes data_;
  size_t size_ = 0, used_ = 0;
};

class Weights {
 public:
  // Finds every tensor, then allocates, reads and repacks in parallel, and drops the files' pages.
  // Errors (kInput): a missing tensor, another shape than the plan's, a type this version cannot decode;
  // weights that do not fit into the memory that is left, before any of them is allocated.
  Weights(Plan plan, const ModelFiles& files);

  const Plan& plan() const { return plan_; }
  size_t allocated_bytes() const { return arena_.size(); }

  // A tensor by its place in plan().tensors.
  const MatrixView& view(size_t index) const { return views_[index]; }
  MatrixView Matrix(Role role, int layer) const;               // aborts where the plan has none
  const float* Vector(Role role, int layer, bool bias) const;  // null where the plan has none
  // The tensors of one linear operation as few matrices as their layouts allow, with their biases.
  struct Stack {
    std::vector<MatrixView> parts;
    std::vector<const float*> biases;
    size_t in = 0, out = 0;
  };
  Stack Stacked(std::initializer_list<Role> roles, int layer) const;

 private:
  size_t IndexOf(Role role, int layer, bool bias) const;  // npos where missing
  void Lay();
  Plan plan_;
  Arena arena_;
  std::vector<MatrixView> views_;
};

// The plan of a model on disk. Errors (kInput): as Weights, for missing tensors.
Plan PlanOf(const ModelFiles& files, WeightMode mode);
ModelConfig ConfigOf(const ModelFiles& files);
// The file that holds the configuration: config.json, or the GGUF itself.
std::filesystem::path ConfigPath(const ModelFiles& files);

}  // namespace qad
