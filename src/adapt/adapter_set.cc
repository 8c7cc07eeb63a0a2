#include "adapt/adapter_set.h"

#include <cmath>
#include <filesystem>

#include "base/error.h"
#include "base/yaml.h"

namespace qad {
namespace {

struct Weighted {
  std::filesystem::path path;
  double weight = 1;
};

// A path may hold an equals sign itself.
Weighted Parse(const std::string& word) {
  const size_t equals = word.rfind('=');
  if (equals == std::string::npos || std::filesystem::exists(word)) return {word};
  const std::string number = word.substr(equals + 1);
  const std::optional<double> weight = ParseNumber(number);
  if (!weight || !std::isfinite(static_cast<float>(*weight)))
    Fail(ErrorKind::kUsage, "--adapter {}: '{}' is no number, and there is no such path", word, number);
  return {word.substr(0, equals), *weight};
}

}  // namespace

AdapterSet::AdapterSet(Transformer& model, const std::vector<std::string>& words) {
  model.ClearAdapters();
  for (const std::string& word : words) {
    const auto [path, weight] = Parse(word);
    adapters_.push_back(std::make_unique<LoraAdapter>(model, path));
    adapters_.back()->AddTo(model, static_cast<float>(weight));
  }
}

size_t AdapterSet::bytes() const {
  size_t bytes = 0;
  for (const std::unique_ptr<LoraAdapter>& adapter : adapters_) bytes += adapter->served_bytes();
  return bytes;
}

}  // namespace qad
