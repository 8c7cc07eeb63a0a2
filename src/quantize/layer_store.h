// Finished layers of a model that is being quantized or measured, kept on disk, beside the artefact to be or among the
// statistics: what an interrupted run has done is not done again.
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "io/safetensors.h"

namespace qad {

class LayerStore {
 public:
  // In the folder "<output>.layers". What lies there is kept where its key is the same (program, source, texts,
  // settings), else removed. Errors: kFailed; kUsage where the folder holds something else.
  LayerStore(const std::filesystem::path& output, const Json& key);

  // The first layer that is not there.
  size_t done() const { return done_; }
  std::unique_ptr<SafetensorsFile> Open(size_t layer) const;
  // Atomically; layers come in order.
  void Save(size_t layer, std::vector<TensorToWrite> tensors, const Json& summary);
  const Json& Summary(size_t layer) const { return summaries_[layer]; }
  // By how much each layer's outputs changed, relative to their size, from "change" and "size" (squares) of its
  // summary; layers that fed nothing back are left out.
  std::vector<double> Changes() const;
  void Remove();
  void Finish();  // Remove, once what they were for is there: what cannot be removed is no failure any more

 private:
  std::filesystem::path PathOf(size_t layer) const;
  std::filesystem::path folder_;
  size_t done_ = 0;
  std::vector<Json> summaries_;
};

}  // namespace qad
