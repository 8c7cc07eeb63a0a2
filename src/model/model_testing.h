// The tiny models of testdata/models with the goldens made from them (testdata/make_model_goldens.py). For tests only.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/testing.h"
#include "io/model_files.h"
#include "io/peft.h"
#include "model/training.h"
#include "model/transformer.h"

namespace qad {

inline const std::vector<std::string> kTinyModels = {"llama-gqa", "llama-bias", "gpt2"};

inline std::filesystem::path TinyPath(const std::string& name) {
  return std::filesystem::path(QAD_TESTDATA) / "models" / name;
}

inline Transformer LoadTransformer(const std::filesystem::path& path, WeightMode mode = WeightMode::kAsStored) {
  const ModelFiles files = OpenModel(path);
  return Transformer(std::make_shared<Weights>(PlanOf(files, mode), files));
}

struct Golden {
  PackedBatch batch;
  double loss = 0, loss_with_adapter = 0;
  std::map<std::string, std::vector<float>> tensors;

  explicit Golden(const std::string& name) {
    const Json json = ReadJsonFile(TinyPath(name) / "golden.json");
    batch.tokens = json["batch"]["tokens"].get<std::vector<TokenId>>();
    batch.labels = json["batch"]["labels"].get<std::vector<TokenId>>();
    batch.lengths = json["batch"]["lengths"].get<std::vector<size_t>>();
    loss = json["loss"].get<double>();
    loss_with_adapter = json["loss_with_adapter"].get<double>();
    const SafetensorsFile file(TinyPath(name) / "golden.safetensors");
    for (const auto& [key, entry] : file.tensors()) tensors[key] = ToFloats(entry);
  }
  const std::vector<float>& logits() const { return tensors.at("logits"); }
};

// The golden's adapter with room for its gradients, attached by hand.
struct TinyAdapter {
  PeftAdapter peft;
  std::vector<std::vector<float>> a_gradients, b_gradients;

  TinyAdapter(const std::string& name, Transformer& model) : peft(ReadPeftAdapter(TinyPath(name) / "adapter")) {
    for (const PeftModule& module : peft.modules) {
      a_gradients.emplace_back(module.a.size());
      b_gradients.emplace_back(module.b.size());
    }
    AttachTo(model);
  }
  void AttachTo(Transformer& model) {
    model.ClearAdapters();
    for (size_t i = 0; i < peft.modules.size(); ++i) {
      const PeftModule& module = peft.modules[i];
      for (const AdapterSite& site : model.sites()) {
        if (site.module != module.module) continue;
        ASSERT_EQ(site.in, module.in);
        ASSERT_EQ(site.out, module.out);
        model.Attach(site, {.first = 0,
                            .outputs = 0,
                            .rank = static_cast<size_t>(peft.config.r),
                            .scale = peft.config.Scale(),
                            .a = module.a.data(),
                            .b = module.b.data(),
                            .a_gradient = a_gradients[i].data(),
                            .b_gradient = b_gradients[i].data()});
      }
    }
  }
  void ZeroGradients() {
    for (auto* all : {&a_gradients, &b_gradients})
      for (auto& gradient : *all) std::fill(gradient.begin(), gradient.end(), 0.0f);
  }
};

// Logits of all rows of a packed batch, each sequence in a cache slot of its own.
inline std::vector<float> AllLogits(Context& context, Transformer& model, const PackedBatch& batch,
                                    FormatId type = FormatId::kF32) {
  const size_t longest = *std::ranges::max_element(batch.lengths);
  KvCache cache(model.config(), batch.lengths.size(), longest, type);
  std::vector<Segment> segments;
  std::vector<size_t> wanted(batch.tokens.size());
  size_t first = 0;
  for (size_t s = 0; s < batch.lengths.size(); ++s) {
    segments.push_back({s, 0, std::span(batch.tokens).subspan(first, batch.lengths[s])});
    first += batch.lengths[s];
  }
  for (size_t i = 0; i < wanted.size(); ++i) wanted[i] = i;
  std::vector<float> logits(wanted.size() * model.config().vocab);
  model.Forward(context, segments, cache, wanted, logits.data());
  return logits;
}

}  // namespace qad
