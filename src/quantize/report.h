// What quantizing a model came to.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <vector>

#include "model/families.h"

namespace qad {

// Of all tensors of one role, against the values they were made from.
struct RoleError {
  Role role;
  uint64_t tensors = 0, values = 0;
  double nmse = 0;       // Σ(w − ŵ)² / Σw²
  double max_error = 0;  // max |w − ŵ|
};

struct QuantizeReport {
  std::filesystem::path output;
  double seconds = 0;
  uint64_t bytes = 0;           // of the weights' file
  uint64_t source_bytes = 0;    // of the tensors it was made from
  uint64_t peak_rss_bytes = 0;  // during this call where the system can tell, else of the process so far
  std::vector<RoleError> errors;
  // Of methods that feed errors back: by how much each decoder block's linear layers change their outputs on the
  // calibration texts, relative to their size.
  std::vector<double> changes = {};
};

// The frame around making an artefact: threads, time and peak memory from its construction on.
class ReportFrame {
 public:
  explicit ReportFrame(int threads);  // 0: all cores
  QuantizeReport Finish(const std::filesystem::path& output, uint64_t bytes, uint64_t source_bytes,
                        std::vector<RoleError> errors, std::vector<double> changes = {}) const;

 private:
  std::chrono::steady_clock::time_point start_;
};

// For progress.
inline double Millions(size_t count) { return static_cast<double>(count) * 1e-6; }

struct RowError {
  double squares = 0, norm = 0;
  float largest = 0;
};
RowError SumOf(std::span<const RowError> rows);
RowError CompareRows(std::span<const float> row, std::span<const float> decoded);

// Errors of many tensors, summed in the order of their rows whatever the number of threads.
class Errors {
 public:
  void Add(Role role, const RowError& tensor, size_t values);
  std::vector<RoleError> ByRole() const;

 private:
  struct Sum {
    RoleError error{};
    double squares = 0, norm = 0;
  };
  std::map<Role, Sum> sums_;
};

}  // namespace qad
