// What a model does on calibration texts, measured once: statistics lie in a folder under the hash of all that they
// depend on (this program and its SIMD target, the model, the texts), and whoever asks for the same again gets the
// same. Nothing else needs the folder: it may be removed at any time.
#pragma once

#include <filesystem>
#include <string_view>

#include "base/json.h"
#include "quantize/calibration.h"
#include "quantize/fisher.h"
#include "quantize/importance.h"

namespace qad {

class Statistics {
 public:
  // Where the folder is empty or cannot be written, nothing is kept.
  Statistics(std::filesystem::path folder, const ModelFiles& files, const Calibration& calibration);

  // As MeasureImportance and MeasureFisher, of all samples. Errors: theirs. A kept file that cannot be read is measured
  // again; where none can be written, stderr says so.
  Importance GetImportance(Context& context, bool quiet) const;
  Fisher GetFisher(size_t tokens, Context& context, bool quiet) const;

  bool kept() const { return !folder_.empty(); }
  // What statistics of this name, measured with these settings, depend on; and where they lie, without extension. Only
  // where kept().
  Json Key(std::string_view name, const Json& settings) const;
  std::filesystem::path PathOf(const Json& key) const;

 private:
  std::filesystem::path folder_;
  const ModelFiles& files_;
  const Calibration& calibration_;
  Json common_;  // of all keys
};

}  // namespace qad
