// Tiny random models on disk, for tests of what reads, writes and counts weights.
#pragma once

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "base/files.h"
#include "base/half.h"
#include "base/json.h"
#include "base/random.h"
#include "io/safetensors.h"
#include "model/plan.h"

namespace qad::tiny {

// GQA, a tied head, sizes that are no multiples of each other; blocks of 32 divide every row.
inline constexpr const char* kLlama =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 70,
  "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
  "max_position_embeddings": 40, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": true})";
// Conv1D matrices of (in, out), biases everywhere, learned positions; no row divides into blocks of 32.
inline constexpr const char* kGpt2 = R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": 50,
  "n_embd": 12, "n_layer": 2, "n_head": 3, "n_positions": 24, "n_inner": 20, "layer_norm_epsilon": 1e-05})";

inline ModelConfig Config(const char* json) { return ParseModelConfig(ParseJson(json, "tiny model"), "tiny model"); }

// The value of element (row, col) of a planned tensor.
inline float Value(const TensorSpec& spec, size_t row, size_t col) {
  const auto u = static_cast<float>(RandomUniform(std::hash<std::string>{}(spec.name), row, col));
  return IsNorm(spec.role) && !spec.bias ? 0.5f + u : 0.4f * (u - 0.5f);
}

inline Plan PlanFor(const char* json) {
  return MakePlan(Config(json), WeightMode::kF32, [](const TensorSpec&) { return FormatId::kF32; });
}

inline std::vector<std::byte> Encode(const std::vector<float>& values, DType dtype) {
  std::vector<std::byte> out(values.size() * DTypeBytes(dtype));
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::kF32) {
      std::memcpy(out.data() + 4 * i, &values[i], 4);
    } else {
      const uint16_t half = dtype == DType::kBF16 ? FloatToBF16(values[i]) : FloatToF16(values[i]);
      std::memcpy(out.data() + 2 * i, &half, 2);
    }
  }
  return out;
}

// A folder as transformers writes it, all tensors in one dense type.
inline void WriteFolder(const std::filesystem::path& folder, const char* config_json, DType dtype) {
  std::filesystem::create_directories(folder);
  WriteFileAtomic(folder / "config.json", config_json);
  const Plan plan = PlanFor(config_json);
  std::vector<std::vector<std::byte>> data;
  std::vector<TensorToWrite> tensors;
  for (const TensorSpec& spec : plan.tensors) {
    const bool matrix = !IsVector(spec);
    const bool transposed = plan.config.family->traits.conv1d && IsLinear(spec.role) && matrix;
    std::vector<float> values;
    const size_t outer = transposed ? spec.cols : spec.rows, inner = transposed ? spec.rows : spec.cols;
    for (size_t i = 0; i < outer; ++i)
      for (size_t j = 0; j < inner; ++j) values.push_back(transposed ? Value(spec, j, i) : Value(spec, i, j));
    data.push_back(Encode(values, dtype));
    std::vector<int64_t> shape = {static_cast<int64_t>(outer), static_cast<int64_t>(inner)};
    if (!matrix) shape = {static_cast<int64_t>(inner)};
    tensors.push_back({spec.name, dtype, shape, {}});
  }
  for (size_t i = 0; i < tensors.size(); ++i) tensors[i].bytes = data[i];
  WriteSafetensors(folder / "model.safetensors", tensors);
}

// --- GGUF, as llama.cpp's converter writes it (architecture llama; rows of Q and K interleaved).

class GgufWriter {
 public:
  template <typename T>
  void Put(T value) {
    out_.append(reinterpret_cast<const char*>(&value), sizeof(value));
  }
  void Text(const std::string& text) {
    Put(static_cast<uint64_t>(text.size()));
    out_ += text;
  }
  void Key(const std::string& key, uint32_t value) { Begin(key, 4), Put(value); }
  void Key(const std::string& key, float value) { Begin(key, 6), Put(value); }
  void Key(const std::string& key, bool value) { Begin(key, 7), Put(static_cast<uint8_t>(value)); }
  void Key(const std::string& key, const std::string& value) { Begin(key, 8), Text(value); }
  void Key(const std::string& key, const std::vector<std::string>& values) {
    Begin(key, 9), Put(uint32_t{8}), Put(static_cast<uint64_t>(values.size()));
    for (const std::string& value : values) Text(value);
  }
  void Key(const std::string& key, const std::vector<int32_t>& values) {
    Begin(key, 9), Put(uint32_t{5}), Put(static_cast<uint64_t>(values.size()));
    for (const int32_t value : values) Put(value);
  }
  void Tensor(const std::string& name, const std::vector<uint64_t>& ne, const Format& format, std::string bytes) {
    tensors_.push_back({name, ne, format.gguf_type, std::move(bytes)});
  }
  // The whole file.
  std::string Finish() {
    std::string keys;
    keys.swap(out_);
    out_ = "GGUF";
    Put(uint32_t{3}), Put(static_cast<uint64_t>(tensors_.size())), Put(keys_);
    out_ += keys;
    uint64_t at = 0;
    for (const Written& tensor : tensors_) {
      Text(tensor.name), Put(static_cast<uint32_t>(tensor.ne.size()));
      for (const uint64_t n : tensor.ne) Put(n);
      Put(static_cast<uint32_t>(tensor.type)), Put(at);
      at += Aligned(tensor.bytes.size());
    }
    out_.resize(Aligned(out_.size()));
    for (const Written& tensor : tensors_) {
      out_ += tensor.bytes;
      out_.resize(Aligned(out_.size()));
    }
    return out_;
  }

 private:
  struct Written {
    std::string name;
    std::vector<uint64_t> ne;
    int type;
    std::string bytes;
  };
  static size_t Aligned(size_t n) { return (n + 31) / 32 * 32; }
  void Begin(const std::string& key, uint32_t type) {
    ++keys_;
    Text(key), Put(type);
  }
  std::string out_;
  std::vector<Written> tensors_;
  uint64_t keys_ = 0;
};

// kLlama with its linear layers in `linears`, embeddings in f16 and norms in f32. Its vocabulary is printable
// characters from "!" on, two merges and <|im_end|>; LoadModel knows it without the chat template.
inline void WriteGguf(const std::filesystem::path& path, FormatId linears, bool chat_template = true) {
  const Plan plan = PlanFor(kLlama);
  const ModelConfig& config = plan.config;
  GgufWriter out;
  out.Key("general.architecture", std::string("llama"));
  out.Key("llama.embedding_length", static_cast<uint32_t>(config.hidden));
  out.Key("llama.block_count", static_cast<uint32_t>(config.layers));
  out.Key("llama.attention.head_count", static_cast<uint32_t>(config.heads));
  out.Key("llama.attention.head_count_kv", static_cast<uint32_t>(config.kv_heads));
  out.Key("llama.feed_forward_length", static_cast<uint32_t>(config.intermediate));
  out.Key("llama.context_length", static_cast<uint32_t>(config.max_positions));
  out.Key("llama.attention.layer_norm_rms_epsilon", config.norm_eps);
  out.Key("llama.rope.freq_base", config.rope_theta);
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  for (size_t i = 0; i + 3 < config.vocab; ++i) tokens.emplace_back(1, static_cast<char>('!' + i));
  tokens.insert(tokens.end(), {"ab", "abc", "<|im_end|>"});
  types.assign(tokens.size(), 1);
  types.back() = 3;
  out.Key("tokenizer.ggml.model", std::string("gpt2"));
  out.Key("tokenizer.ggml.pre", std::string("smollm"));
  out.Key("tokenizer.ggml.tokens", tokens);
  out.Key("tokenizer.ggml.token_type", types);
  out.Key("tokenizer.ggml.merges", std::vector<std::string>{"a b", "ab c"});
  out.Key("tokenizer.ggml.bos_token_id", static_cast<uint32_t>(config.vocab - 1));
  out.Key("tokenizer.ggml.eos_token_id", static_cast<uint32_t>(config.vocab - 1));
  out.Key("tokenizer.ggml.add_bos_token", false);
  if (chat_template) out.Key("tokenizer.chat_template", std::string("{{ messages }}"));
  for (const TensorSpec& spec : plan.tensors) {
    const Format& format = GetFormat(IsNorm(spec.role)     ? FormatId::kF32
                                     : IsLinear(spec.role) ? linears
                                                           : FormatId::kF16);
    const bool rotary = spec.role == Role::kQ || spec.role == Role::kK;
    const size_t half = config.head_dim / 2;
    std::string bytes(spec.rows * format.RowBytes(spec.cols), '\0');
    for (size_t stored = 0; stored < spec.rows; ++stored) {
      size_t row = stored;  // of the plan
      if (rotary) row = stored / config.head_dim * config.head_dim + stored % 2 * half + stored % config.head_dim / 2;
      std::vector<float> values(spec.cols);
      for (size_t i = 0; i < spec.cols; ++i) values[i] = Value(spec, row, i);
      format.encode_row(values.data(), reinterpret_cast<std::byte*>(bytes.data()) + stored * format.RowBytes(spec.cols),
                        spec.cols);
    }
    std::vector<uint64_t> ne = {spec.cols};
    if (spec.rows > 1) ne.push_back(spec.rows);
    out.Tensor(spec.gguf_name, ne, format, std::move(bytes));
  }
  WriteFileAtomic(path, out.Finish());
}

}  // namespace qad::tiny
