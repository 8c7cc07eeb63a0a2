#include "model/weights.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <map>
#include <mutex>

#include "base/error.h"
#include "base/json.h"
#include "base/process.h"
#include "base/units.h"
#include "model/source.h"

namespace qad {

Arena::Arena(size_t bytes) : size_(bytes) {
  if (bytes > 0) data_ = AllocateHuge(bytes);
}

std::byte* Arena::Take(size_t bytes) {
  QAD_CHECK(used_ + AlignUp(bytes) <= size_);
  std::byte* at = data_.get() + used_;
  used_ += AlignUp(bytes);
  return at;
}

// Codes of a group side by side, then its scales side by side, so that equal layouts multiply as one matrix.
void Weights::Lay() {
  std::map<std::pair<int, Layout>, std::vector<size_t>> groups;
  for (size_t i = 0; i < plan_.tensors.size(); ++i)
    groups[{plan_.tensors[i].group, plan_.tensors[i].layout}].push_back(i);
  views_.resize(plan_.tensors.size());
  for (const auto& [key, members] : groups) {
    size_t codes = 0, scales = 0;
    for (const size_t i : members) {
      codes += plan_.tensors[i].code_bytes();
      scales += plan_.tensors[i].scale_bytes();
    }
    std::byte* code_at = arena_.Take(codes);
    std::byte* scale_at = arena_.Take(scales);
    for (const size_t i : members) {
      const TensorSpec& spec = plan_.tensors[i];
      MatrixView& view = views_[i];
      view = {.layout = spec.layout,
              .rows = spec.rows,
              .cols = spec.cols,
              .codes = code_at,
              .stride_bytes = LayoutRowBytes(spec.layout, spec.cols),
              .row_scales = nullptr,
              .block_scales = nullptr,
              .group_shift = spec.group_shift};
      if (spec.layout == Layout::kInt8Row)
        view.row_scales = reinterpret_cast<const float*>(scale_at);
      else if (spec.scale_bytes() > 0)
        view.block_scales = scale_at;
      if (LayoutRows(spec.layout, spec.rows) != spec.rows) {  // the last tile is filled up
        std::memset(code_at, 0, spec.code_bytes());
        std::memset(scale_at, 0, spec.scale_bytes());
      }
      code_at += spec.code_bytes();
      scale_at += spec.scale_bytes();
    }
  }
}

namespace {

// Rows are independent; an exception must not leave the parallel region. `what` begins an error.
void CopyRows(const TensorSource& source, size_t begin, size_t end, const MatrixView& view, const std::string& what) {
  std::exception_ptr failure;
  int64_t failed = static_cast<int64_t>(end);  // the first row of those that fail
  std::mutex mutex;
#pragma omp parallel for schedule(static)
  for (int64_t row = static_cast<int64_t>(begin); row < static_cast<int64_t>(end); ++row) {
    try {
      source.CopyRow(static_cast<size_t>(row), view);
    } catch (const Error& error) {
      const std::scoped_lock lock(mutex);
      if (row >= failed) continue;
      failed = row;
      failure = std::make_exception_ptr(Error(error.kind(), fmt::format("{}, row {}: {}", what, row, error.what())));
    } catch (...) {
      const std::scoped_lock lock(mutex);
      failure = std::current_exception();
    }
  }
  if (failure) std::rethrow_exception(failure);
}

}  // namespace

Weights::Weights(Plan plan, const ModelFiles& files) : plan_(std::move(plan)) {
  // All tensors are found, with their shapes, before anything is allocated: a configuration may claim any size.
  std::vector<TensorSource> sources;
  for (const TensorSpec& spec : plan_.tensors) sources.push_back(FindSource(files, plan_.config, spec));
  const uint64_t needed = plan_.weight_bytes(), available = AvailableMemoryBytes();
  if (needed > available)
    FailInput("{}: the weights take {} in memory, and {} is left; free memory, or take a smaller format or model",
              files.path.string(), FormatBytes(static_cast<double>(needed)),
              FormatBytes(static_cast<double>(available)));
  arena_ = Arena(needed);
  Lay();
  QAD_CHECK(arena_.used() == plan_.weight_bytes());
  // Mapped pages count as resident: they are given back as soon as they are repacked, within large tensors, too.
  constexpr size_t kDropEvery = size_t{4} << 20;
  size_t read = 0;
  for (size_t i = 0; i < plan_.tensors.size(); ++i) {
    const TensorSpec& spec = plan_.tensors[i];
    const size_t row_bytes = std::max<size_t>(spec.stored_bytes() / spec.rows, 1);
    for (size_t row = 0; row < spec.rows;) {
      const size_t count = std::min(spec.rows - row, std::max<size_t>((kDropEvery - read) / row_bytes, 1));
      CopyRows(sources[i], row, row + count, views_[i], files.path.string() + ": tensor \"" + spec.name + "\"");
      row += count;
      read += count * row_bytes;
      if (read + row_bytes <= kDropEvery) continue;
      files.DropPages();
      read = 0;
    }
  }
  files.DropPages();
}

size_t Weights::IndexOf(Role role, int layer, bool bias) const {
  const TensorSpec* spec = plan_.Find(role, layer, bias);
  return spec == nullptr ? std::string::npos : static_cast<size_t>(spec - plan_.tensors.data());
}

MatrixView Weights::Matrix(Role role, int layer) const {
  const size_t index = IndexOf(role, layer, false);
  QAD_CHECK(index != std::string::npos);
  return views_[index];
}

const float* Weights::Vector(Role role, int layer, bool bias) const {
  const size_t index = IndexOf(role, layer, bias);
  return index == std::string::npos ? nullptr : reinterpret_cast<const float*>(views_[index].codes);
}

namespace {

// Whether `next` lies right behind `last` in memory, so that both are one matrix.
bool Adjoins(const MatrixView& last, const MatrixView& next) {
  if (last.layout != next.layout || last.cols != next.cols || last.group_shift != next.group_shift) return false;
  if (LayoutRows(last.layout, last.rows) != last.rows) return false;  // its last tile is filled up with zeros
  if (last.codes + last.rows * last.stride_bytes != next.codes) return false;
  if (last.row_scales != nullptr && last.row_scales + last.rows != next.row_scales) return false;
  return last.block_scales == nullptr ||
         last.block_scales + last.rows * LayoutScaleBytes(last.layout, last.cols, last.group_shift) ==
             next.block_scales;
}

}  // namespace

Weights::Stack Weights::Stacked(std::initializer_list<Role> roles, int layer) const {
  Stack stack;
  for (const Role role : roles) {
    const size_t index = IndexOf(role, layer, false);
    if (index == std::string::npos) continue;
    const MatrixView& view = views_[index];
    const float* bias = Vector(role, layer, true);
    const bool plain = bias == nullptr && !stack.biases.empty() && stack.biases.back() == nullptr;
    if (plain && Adjoins(stack.parts.back(), view)) {
      stack.parts.back().rows += view.rows;
    } else {
      stack.parts.push_back(view);
      stack.biases.push_back(bias);
    }
    stack.in = view.cols;
    stack.out += view.rows;
  }
  QAD_CHECK(!stack.parts.empty());
  return stack;
}

std::filesystem::path ConfigPath(const ModelFiles& files) {
  return files.gguf != nullptr ? files.path : files.path / "config.json";
}

ModelConfig ConfigOf(const ModelFiles& files) {
  if (files.gguf != nullptr) return ParseModelConfig(*files.gguf);
  const std::filesystem::path path = ConfigPath(files);
  return ParseModelConfig(ReadJsonFile(path), path.string());
}

Plan PlanOf(const ModelFiles& files, WeightMode mode) {
  const ModelConfig config = ConfigOf(files);
  return MakePlan(config, mode, [&](const TensorSpec& spec) { return StoredFormatIn(files, spec); });
}

}  // namespace qad
