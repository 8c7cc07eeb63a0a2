// make_tiny_gpt2 VOCABULARY FOLDER: a GPT-2 of 102,714 parameters (hidden 2, two layers, two heads, GPT-2's vocabulary)
// with random weights from seed 0, as a Hugging Face folder. The smoke example runs on it. Weights are normal(0, 0.02),
// norms 1, biases 0, as a fresh GPT-2 (Radford et al. 2019) without the scaling of residual projections.
#include <fmt/format.h>

#include <cstdio>
#include <filesystem>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/files.h"
#include "base/json.h"
#include "base/random.h"
#include "io/safetensors.h"

namespace qad {
namespace {

constexpr int64_t kVocab = 50257, kPositions = 1024, kHidden = 2, kLayers = 2, kHeads = 2;
constexpr uint64_t kSeed = 0;

struct Tensor {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<float> values;
};

// Tensor i draws from stream i, so that adding one does not change the others.
class Tensors {
 public:
  void AddRandom(std::string name, int64_t rows, int64_t cols) {
    Random random(kSeed, tensors_.size());
    std::vector<float> values(static_cast<size_t>(rows * cols));
    for (float& value : values) value = static_cast<float>(0.02 * random.Normal());
    tensors_.push_back({std::move(name), {rows, cols}, std::move(values)});
  }
  void AddConstant(std::string name, int64_t size, float value) {
    tensors_.push_back({std::move(name), {size}, std::vector<float>(static_cast<size_t>(size), value)});
  }
  // Conv1D keeps its weight as (inputs, outputs).
  void AddConv1D(const std::string& name, int64_t inputs, int64_t outputs) {
    AddRandom(name + ".weight", inputs, outputs);
    AddConstant(name + ".bias", outputs, 0);
  }
  void AddNorm(const std::string& name) {
    AddConstant(name + ".weight", kHidden, 1);
    AddConstant(name + ".bias", kHidden, 0);
  }
  void Write(const std::filesystem::path& path) const {
    std::vector<TensorToWrite> entries;
    for (const Tensor& tensor : tensors_)
      entries.push_back({tensor.name, DType::kF32, tensor.shape, std::as_bytes(std::span(tensor.values))});
    WriteSafetensors(path, std::move(entries));
  }

 private:
  std::vector<Tensor> tensors_;
};

void AddLayer(Tensors& tensors, const std::string& layer) {
  tensors.AddNorm(layer + ".ln_1");
  tensors.AddConv1D(layer + ".attn.c_attn", kHidden, 3 * kHidden);
  tensors.AddConv1D(layer + ".attn.c_proj", kHidden, kHidden);
  tensors.AddNorm(layer + ".ln_2");
  tensors.AddConv1D(layer + ".mlp.c_fc", kHidden, 4 * kHidden);
  tensors.AddConv1D(layer + ".mlp.c_proj", 4 * kHidden, kHidden);
}

OrderedJson ConfigJson() {
  return {{"architectures", {"GPT2LMHeadModel"}},
          {"model_type", "gpt2"},
          {"vocab_size", kVocab},
          {"n_positions", kPositions},
          {"n_embd", kHidden},
          {"n_layer", kLayers},
          {"n_head", kHeads},
          {"activation_function", "gelu_new"},
          {"layer_norm_epsilon", 1e-5},
          {"bos_token_id", kVocab - 1},
          {"eos_token_id", kVocab - 1},
          {"tie_word_embeddings", true},
          {"torch_dtype", "float32"}};
}

void MakeTinyGpt2(const std::filesystem::path& vocabulary, const std::filesystem::path& place) {
  Tensors tensors;
  tensors.AddRandom("transformer.wte.weight", kVocab, kHidden);
  tensors.AddRandom("transformer.wpe.weight", kPositions, kHidden);
  for (int64_t layer = 0; layer < kLayers; ++layer) AddLayer(tensors, fmt::format("transformer.h.{}", layer));
  tensors.AddNorm("transformer.ln_f");

  FolderSwap folder(place);
  tensors.Write(folder.path() / "model.safetensors");
  WriteFileAtomic(folder.path() / "config.json", DumpJson(ConfigJson()));
  WriteFileAtomic(folder.path() / "gpt2.tiktoken", ReadTextFile(vocabulary));
  folder.Commit();
}

}  // namespace
}  // namespace qad

int main(int argc, char** argv) try {
  if (argc != 3) qad::Fail(qad::ErrorKind::kUsage, "usage: make_tiny_gpt2 VOCABULARY FOLDER");
  qad::MakeTinyGpt2(argv[1], argv[2]);
  fmt::print("{}\n", argv[2]);
  return 0;
} catch (const qad::Error& error) {
  fmt::print(stderr, "make_tiny_gpt2: {}\n", error.what());
  return error.exit_code();
}
