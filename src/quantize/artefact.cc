#include "quantize/artefact.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "base/files.h"
#include "base/interrupt.h"
#include "kernels/elementwise.h"
#include "model/source.h"
#include "model/weights.h"
#include "quantize/tokenizer_json.h"

namespace qad {
namespace fs = std::filesystem;

namespace {

constexpr std::array kTokenizerFiles = {"tokenizer.json",
                                        "tokenizer_config.json",
                                        "special_tokens_map.json",
                                        "added_tokens.json",
                                        "chat_template.jinja",
                                        "generation_config.json",
                                        "vocab.json",
                                        "merges.txt",
                                        "gpt2.tiktoken"};
constexpr const char* kMethodPrefix = "qad-";
constexpr const char* kMadeBy = "made_by";  // of dense weights, in config.json

// Whether a file of this name is one that a quantized model of ours is made of.
bool IsWritten(const fs::directory_entry& entry) {
  const std::string name = entry.path().filename();
  const bool known = name == "config.json" || name == "model.safetensors" || name == "quantize_config.json" ||
                     std::ranges::find(kTokenizerFiles, name) != kTokenizerFiles.end();
  return known && entry.is_regular_file();
}

// The shortest decimal that is this float: 1e-05, not 9.999999747378752e-06.
double Decimal(float value) { return std::stod(fmt::format("{}", value)); }

// "qad-int8", "gptq"; empty where the configuration says nothing of the kind.
std::string QuantMethod(const Json& config) {
  if (!config.is_object() || !config.contains("quantization_config") || !config["quantization_config"].is_object())
    return "";
  return config["quantization_config"].value("quant_method", "unknown");
}

// Whether qad wrote it: dense, or by a method of its own, or its name is among what a foreign layout says of its maker.
bool IsOurs(const Json& config) {
  if (config.is_object() && config.value(kMadeBy, Json()) == "qad") return true;
  if (QuantMethod(config).starts_with(kMethodPrefix)) return true;
  const Json meta =
      config.is_object() && !QuantMethod(config).empty() ? config["quantization_config"].value("meta", Json()) : Json();
  const Json quantizer = meta.is_object() ? meta.value("quantizer", Json()) : Json();
  return quantizer.is_array() && !quantizer.empty() && quantizer[0] == "qad";
}

bool SameTensors(const ModelConfig& a, const ModelConfig& b) {
  const auto plan = [](const ModelConfig& config) {
    return MakePlan(config, WeightMode::kF32, [](const TensorSpec&) { return FormatId::kF32; });
  };
  return std::ranges::equal(plan(a).tensors, plan(b).tensors, [](const TensorSpec& x, const TensorSpec& y) {
    return x.name == y.name && x.rows == y.rows && x.cols == y.cols;
  });
}

Json ConfigFromGguf(const GgufFile& file) {
  const std::string where = file.path().string();
  const ModelConfig config = ParseModelConfig(file);
  if (!config.rope_scaling.empty())
    FailInput("{}: rotary scaling \"{}\" is not carried over to a config.json by this version", where,
              config.rope_scaling);
  if (!config.not_run.empty())
    FailInput("{}: {} is not carried over to a config.json by this version", where, config.not_run);
  Json json = ConfigToJson(config);
  for (const char* name : {"bos", "eos"})
    if (const std::string key = fmt::format("tokenizer.ggml.{}_token_id", name); file.Has(key))
      json[fmt::format("{}_token_id", name)] = file.Int(key, 0, INT32_MAX);
  if (!SameTensors(config, ParseModelConfig(json, where)))
    FailInput("{}: its biases or shapes cannot be said in a config.json of family {}", where, config.family->name);
  return json;
}

Json SourceConfig(const ModelFiles& source) {
  return source.gguf != nullptr ? ConfigFromGguf(*source.gguf) : ReadJsonFile(source.path / "config.json");
}

}  // namespace

Json ConfigToJson(const ModelConfig& c) {
  Json json{{"architectures", {c.family->hf_architecture}},
            {"model_type", c.family->hf_model_type},
            {"vocab_size", c.vocab},
            {"tie_word_embeddings", c.tied_head},
            {"torch_dtype", "bfloat16"}};
  if (c.family->traits.learned_positions) {
    json.update(Json{{"n_embd", c.hidden},
                     {"n_layer", c.layers},
                     {"n_head", c.heads},
                     {"n_positions", c.max_positions},
                     {"n_inner", c.intermediate},
                     {"layer_norm_epsilon", Decimal(c.norm_eps)},
                     {"activation_function", "gelu_new"}});
    return json;
  }
  json.update(Json{{"hidden_size", c.hidden},
                   {"intermediate_size", c.intermediate},
                   {"num_hidden_layers", c.layers},
                   {"num_attention_heads", c.heads},
                   {"num_key_value_heads", c.kv_heads},
                   {"head_dim", c.head_dim},
                   {"max_position_embeddings", c.max_positions},
                   {"rms_norm_eps", Decimal(c.norm_eps)},
                   {"rope_theta", Decimal(c.rope_theta)},
                   {"attention_bias", c.attention_bias},
                   {"mlp_bias", c.mlp_bias},
                   {"hidden_act", "silu"}});
  if (c.sliding_window > 0) json["sliding_window"] = c.sliding_window;
  return json;
}

Json ArtefactConfig(const ModelFiles& source, const Json& quantization) {
  Json config = SourceConfig(source);
  if (const std::string method = QuantMethod(config); !method.empty())
    FailInput("{}: is quantized already ({}); quantize the original", source.path.string(), method);
  config["quantization_config"] = quantization;
  return config;
}

Json DenseConfig(const ModelFiles& source, const std::string& dtype) {
  Json config = SourceConfig(source);
  config.erase("quantization_config");
  config["torch_dtype"] = dtype;
  config[kMadeBy] = "qad";
  return config;
}

void WriteTokenizerFiles(const ModelFiles& source, const fs::path& folder) {
  if (source.gguf != nullptr) {
    if (!source.gguf->Has("tokenizer.ggml.tokens")) return;
    WriteFileAtomic(folder / "tokenizer.json", DumpJson(TokenizerJson(*source.gguf)));
    WriteFileAtomic(folder / "tokenizer_config.json", DumpJson(TokenizerConfigJson(*source.gguf)));
    return;
  }
  for (const char* name : kTokenizerFiles)
    if (fs::exists(source.path / name)) WriteFileAtomic(folder / name, ReadTextFile(source.path / name));
}

QuantizeReport WriteFolder(const fs::path& source, const fs::path& output,
                           const std::function<Json(const ModelFiles&)>& make_config, int threads,
                           const std::function<WrittenWeights(const ModelFiles&, const fs::path&)>& write) {
  RequireReplaceable(output, source);
  const ReportFrame frame(threads);
  const ModelFiles files = OpenModel(source);
  const Json config = make_config(files);
  FolderSwap swap(output);
  WriteFileAtomic(swap.path() / "config.json", DumpJson(config));
  WriteTokenizerFiles(files, swap.path());
  WrittenWeights written = write(files, swap.path() / "model.safetensors");
  const uint64_t bytes = fs::file_size(swap.path() / "model.safetensors");
  swap.Commit();
  return frame.Finish(output, bytes, written.source_bytes, std::move(written.errors));
}

bool AreFinite(std::span<const float> values) { return std::isfinite(SumOfSquares(values.data(), values.size())); }

void FailNotFinite(const ModelFiles& files, const std::string& tensor, std::optional<size_t> row) {
  Fail(ErrorKind::kNumeric, "{}: tensor \"{}\"{} holds NaN or infinity; the file is damaged, or the model was saved so",
       files.path.string(), tensor, row ? fmt::format(": row {}", *row) : "");
}

void RequireFinite(std::span<const float> values, const ModelFiles& files, const TensorSpec& spec) {
  if (!AreFinite(values)) FailNotFinite(files, spec.name);
}

void RequireFiniteWeights(const ModelFiles& files, const Plan& plan) {
  for (const TensorSpec& spec : plan.tensors) {
    const TensorSource source = FindSource(files, plan.config, spec);
    std::vector<float> values(source.cols);
    for (size_t r = 0; r < source.rows; ++r) {
      source.ReadRow(r, values.data());
      RequireFinite(values, files, spec);
    }
    files.DropPages();
  }
}

DType KeptType(const ModelFiles& files, const ModelConfig& config, const TensorSpec& spec) {
  const FormatId stored = FindSource(files, config, spec).format;
  if (stored == FormatId::kF16) return DType::kF16;
  return stored == FormatId::kBF16 || !IsVector(spec) ? DType::kBF16 : DType::kF32;
}

TensorToWrite KeptTensor(const ModelFiles& files, const ModelConfig& config, const TensorSpec& spec, DType type,
                         std::vector<std::byte>& buffer) {
  const TensorSource source = FindSource(files, config, spec);
  std::vector<int64_t> shape = {static_cast<int64_t>(spec.rows), static_cast<int64_t>(spec.cols)};
  if (IsVector(spec)) shape.erase(shape.begin());
  return {spec.name, type, shape, {}, [&files, &buffer, source, type, name = spec.name] {
            ThrowIfInterrupted();
            const Format& format = GetFormat(type == DType::kF32   ? FormatId::kF32
                                             : type == DType::kF16 ? FormatId::kF16
                                                                   : FormatId::kBF16);
            // A permuted bias is many rows of one value.
            const size_t row_bytes = format.RowBytes(source.cols);
            buffer.resize(source.rows * row_bytes);
            bool finite = true, in_range = true;
#pragma omp parallel for schedule(static) reduction(&& : finite, in_range)
            for (int64_t r = 0; r < static_cast<int64_t>(source.rows); ++r) {
              const auto row = static_cast<size_t>(r);
              std::vector<float> values(source.cols);
              source.ReadRow(row, values.data());
              finite = AreFinite(values) && finite;
              std::byte* bytes = buffer.data() + row * row_bytes;
              format.encode_row(values.data(), bytes, values.size());
              format.decode_row(bytes, values.data(), values.size());
              in_range = AreFinite(values) && in_range;
            }
            if (!finite) FailNotFinite(files, name);
            if (!in_range)
              Fail(ErrorKind::kNumeric, "{}: tensor \"{}\" has values beyond {}, in which this layout keeps it",
                   files.path.string(), name, format.name);
            files.DropPages();
            return std::span<const std::byte>(buffer);
          }};
}

void RequireReplaceable(const fs::path& output, const fs::path& source) {
  std::error_code ignored;
  if (output.empty()) Fail(ErrorKind::kUsage, "--output: a folder must be named");
  if (!fs::exists(output)) return;
  if (fs::equivalent(output, source, ignored))
    Fail(ErrorKind::kUsage, "{}: is the source itself; choose another --output", output.string());
  if (!fs::is_directory(output))
    Fail(ErrorKind::kUsage, "{}: exists and is no folder; choose another --output", output.string());
  if (fs::is_empty(output, ignored)) return;
  const fs::path config = output / "config.json";
  if (!fs::exists(config) || !IsOurs(ReadJsonFile(config)))
    Fail(ErrorKind::kUsage, "{}: exists and is no model that qad made, so it is not replaced; choose another --output",
         output.string());
  // The folder is swapped as a whole: nothing may be lost that somebody else put there.
  for (const auto& entry : fs::directory_iterator(output))
    if (!IsWritten(entry))
      Fail(ErrorKind::kUsage, "{}: holds {}, which qad did not write; move it away, or choose another --output",
           output.string(), entry.path().filename().string());
}

}  // namespace qad
