#include "quantize/group_model.h"

#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>

#include "base/error.h"
#include "base/half.h"
#include "base/random.h"
#include "base/testing.h"
#include "model/load.h"
#include "model/source.h"
#include "model/tiny_model.h"
#include "model/weights.h"
#include "quantize/gguf_model.h"
#include "quantize/importance.h"
#include "quantize/layer_store.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

// Of kLlama without groups that divide: two heads of values for four of queries, all packings fit.
constexpr const char* kWide =
    R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama", "vocab_size": 70,
  "hidden_size": 64, "intermediate_size": 128, "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
  "max_position_embeddings": 64, "rms_norm_eps": 1e-05, "rope_theta": 10000.0, "tie_word_embeddings": true})";
constexpr const char* kWideGpt2 = R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "vocab_size": 50,
  "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 64, "n_inner": 128, "layer_norm_epsilon": 1e-05})";

class GroupModel : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(::testing::TempDir()) / ("group_model_test." + std::to_string(::getpid()));
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    options_.quiet = true;
    options_.groups.group_size = 32;
    Random random(11);
    for (int s = 0; s < 12; ++s) {
      std::vector<TokenId>& sample = calibration_.samples.emplace_back();
      for (int t = 0; t < 20 + s; ++t) sample.push_back(static_cast<TokenId>(random.Below(50)));
    }
    calibration_.sha256 = "of the samples";
  }
  void TearDown() override { fs::remove_all(folder_); }

  // Logits of all positions of the samples, in exact mode.
  std::vector<float> Logits(const fs::path& path, WeightMode mode = WeightMode::kAsStored) const {
    const ModelFiles files = OpenModel(path);
    auto weights = std::make_shared<const Weights>(PlanOf(files, mode), files);
    Transformer transformer(weights);
    Context context(Numerics::kExact, 2);
    std::vector<float> all;
    for (const auto& sample : calibration_.samples) {
      KvCache cache(transformer.config(), 1, sample.size(), FormatId::kF32);
      std::vector<size_t> wanted(sample.size());
      for (size_t i = 0; i < wanted.size(); ++i) wanted[i] = i;
      std::vector<float> logits(sample.size() * transformer.config().vocab);
      const Segment segment{.slot = 0, .start = 0, .tokens = sample};
      transformer.Forward(context, {&segment, 1}, cache, wanted, logits.data());
      all.insert(all.end(), logits.begin(), logits.end());
    }
    return all;
  }

  double Distance(const fs::path& path) const {
    return NormalizedMeanSquaredError(Logits(path), Logits(folder_ / "model"));
  }

  fs::path folder_;
  Calibration calibration_;
  GroupModelOptions options_;
};

// What is written is read in integer layouts, as the same values that a dense copy of it has.
TEST_F(GroupModel, EveryKindIsReadAgain) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  for (const GroupMethod method : {GroupMethod::kRtn, GroupMethod::kGptq, GroupMethod::kAwq, GroupMethod::kAwqGptq})
    for (const int bits : {2, 3, 4, 8})
      for (const size_t group : {size_t{0}, size_t{32}, size_t{64}})
        for (const bool symmetric : {true, false}) {
          options_.method = method;
          options_.packing = method == GroupMethod::kAwq ? Packing::kAwq : Packing::kGptq;
          if (options_.packing == Packing::kAwq && (bits != 4 || symmetric)) continue;
          options_.groups = {.bits = bits, .group_size = group, .symmetric = symmetric};
          const QuantizeReport report = QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
          EXPECT_EQ(report.bytes, fs::file_size(folder_ / "out" / "model.safetensors"));
          const ModelFiles files = OpenModel(folder_ / "out");
          const Plan plan = PlanOf(files, WeightMode::kAsStored);
          const bool bytes = bits == 8;
          const Layout layout = !bytes ? Layout::kInt4Zero : symmetric ? Layout::kInt8Block : Layout::kF32;
          EXPECT_EQ(plan.Find(Role::kQ, 0)->layout, layout);
          EXPECT_EQ(plan.stored_bytes() > 0, true);
          EXPECT_EQ(Weights(plan, files).allocated_bytes(), plan.weight_bytes());
          EXPECT_TRUE(AllClose(Logits(folder_ / "out"), Logits(folder_ / "out", WeightMode::kF32), 2e-5, 2e-5));
          EXPECT_LT(Distance(folder_ / "out"), bits == 8   ? 1e-3
                                               : bits == 4 ? 0.1
                                                           : 0.8)
              << static_cast<int>(method) << " " << bits << " " << group << " " << symmetric;
          EXPECT_FALSE(fs::exists(folder_ / "out.layers"));
        }
}

TEST_F(GroupModel, FeedbackAndScalesBringTheOutputsNearer) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  options_.groups = {.bits = 3, .group_size = 64, .symmetric = false};
  const auto distance = [&](GroupMethod method) {
    options_.method = method;
    QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
    return Distance(folder_ / "out");
  };
  const double rounded = distance(GroupMethod::kRtn);
  EXPECT_LT(distance(GroupMethod::kGptq), 0.8 * rounded);
  EXPECT_LT(distance(GroupMethod::kAwqGptq), 0.8 * rounded);
}

TEST_F(GroupModel, Conv1dMatricesAndBiases) {
  tiny::WriteFolder(folder_ / "model", kWideGpt2, DType::kF32);
  for (const GroupMethod method : {GroupMethod::kGptq, GroupMethod::kAwq}) {
    options_.method = method;
    options_.packing = method == GroupMethod::kAwq ? Packing::kAwq : Packing::kGptq;
    options_.groups.symmetric = method != GroupMethod::kAwq;
    QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
    EXPECT_LT(Distance(folder_ / "out"), 0.1);
  }
}

// A run that failed when its layers were done (the disk was full) goes on from them, to the same bytes.
TEST_F(GroupModel, GoesOnBehindFinishedLayers) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  options_.threads = 1;  // the parent's threads do not exist in the child
  QuantizeGroups(folder_ / "model", folder_ / "whole", calibration_, options_);
  const std::string whole = ReadTextFile(folder_ / "whole" / "model.safetensors");
  const pid_t child = ::fork();
  if (child == 0) {
    std::signal(SIGXFSZ, SIG_IGN);
    const rlimit limit{whole.size() * 3 / 4, whole.size() * 3 / 4};
    ::setrlimit(RLIMIT_FSIZE, &limit);
    try {
      QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
    } catch (const Error& error) {
      ::_exit(error.exit_code());
    } catch (...) {
      ::_exit(99);
    }
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), static_cast<int>(ErrorKind::kFailed));
  EXPECT_FALSE(fs::exists(folder_ / "out"));
  ASSERT_TRUE(fs::exists(folder_ / "out.layers" / "layer-1.safetensors"));
  const auto written = fs::last_write_time(folder_ / "out.layers" / "layer-1.safetensors");
  fs::remove(folder_ / "out.layers" / "layer-1.safetensors");
  const auto first = fs::last_write_time(folder_ / "out.layers" / "layer-0.safetensors");
  EXPECT_LE(first, written);
  QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
  EXPECT_EQ(ReadTextFile(folder_ / "out" / "model.safetensors"), whole);
  EXPECT_FALSE(fs::exists(folder_ / "out.layers"));
}

TEST_F(GroupModel, LayersOfAnotherRunAreRemovedAndForeignFoldersKept) {
  const fs::path output = folder_ / "out";
  const float value = 1;
  {
    LayerStore store(output, {{"a", 1}});
    store.Save(0, {{"x", DType::kF32, {1}, std::as_bytes(std::span(&value, 1))}}, {{"change", 2}});
    EXPECT_EQ(store.done(), 1u);
  }
  EXPECT_EQ(LayerStore(output, {{"a", 1}}).done(), 1u);
  EXPECT_EQ(LayerStore(output, {{"a", 1}}).Summary(0), Json({{"change", 2}}));
  EXPECT_EQ(LayerStore(output, {{"a", 2}}).done(), 0u);
  LayerStore(output, {{"a", 2}}).Remove();
  fs::create_directories(folder_ / "out.layers");
  WriteFileAtomic(folder_ / "out.layers" / "mine.txt", "keep");
  EXPECT_THROW(LayerStore(output, {{"a", 1}}), Error);
  EXPECT_TRUE(fs::exists(folder_ / "out.layers" / "mine.txt"));
}

TEST_F(GroupModel, DamagedLayersAreMadeAgainAndSlashesDoNotMatter) {
  const float value = 1;
  const auto save = [&](LayerStore& store, size_t layer) {
    store.Save(layer, {{"x", DType::kF32, {1}, std::as_bytes(std::span(&value, 1))}}, {{"change", 2}});
  };
  {
    LayerStore store(folder_ / "out" / "", {{"a", 1}});
    save(store, 0);
    save(store, 1);
  }
  EXPECT_EQ(LayerStore(folder_ / "out", {{"a", 1}}).done(), 2u);
  WriteFileAtomic(folder_ / "out.layers" / "layer-1.safetensors", "half");
  EXPECT_EQ(LayerStore(folder_ / "out", {{"a", 1}}).done(), 1u);
}

// Tensors that do not fit each other or the configuration: an error with the tensor's name, nothing else.
TEST_F(GroupModel, MalformedFoldersAreRefused) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
  const std::string config = ReadTextFile(folder_ / "out" / "config.json");
  const SafetensorsFile whole(folder_ / "out" / "model.safetensors");
  const std::string module = "model.layers.0.self_attn.q_proj.";
  const auto read = [&](const std::function<bool(TensorToWrite&)>& keep) {
    std::vector<TensorToWrite> tensors;
    for (const auto& [name, entry] : whole.tensors()) {
      TensorToWrite tensor{name, entry.dtype, entry.shape, entry.bytes};
      if (keep(tensor)) tensors.push_back(tensor);
    }
    fs::create_directories(folder_ / "bad");
    WriteFileAtomic(folder_ / "bad" / "config.json", config);
    WriteSafetensors(folder_ / "bad" / "model.safetensors", tensors);
    const ModelFiles files = OpenModel(folder_ / "bad");
    (void)Weights(PlanOf(files, WeightMode::kAsStored), files);
  };
  EXPECT_NO_THROW(read([](TensorToWrite&) { return true; }));
  for (const char* part : {"qzeros", "scales"})
    EXPECT_THROW(read([&](TensorToWrite& tensor) { return tensor.name != module + part; }), Error) << part;
  for (const char* part : {"qweight", "qzeros", "scales", "g_idx"})
    EXPECT_THROW(read([&](TensorToWrite& tensor) {
                   if (tensor.name == module + part) tensor.shape.insert(tensor.shape.begin(), 1);
                   return true;
                 }),
                 Error)
        << part;
  for (const char* part : {"qweight", "scales"})
    EXPECT_THROW(read([&](TensorToWrite& tensor) {
                   if (tensor.name == module + part)
                     tensor.dtype = tensor.dtype == DType::kF16 ? DType::kBF16 : DType::kU32;
                   return true;
                 }),
                 Error)
        << part;
  for (const int32_t group : {-1, 2, INT32_MAX}) {
    std::vector<int32_t> indices(64, 0);
    indices[17] = group;
    EXPECT_THROW(read([&](TensorToWrite& tensor) {
                   if (tensor.name == module + "g_idx") tensor.bytes = std::as_bytes(std::span(indices));
                   return true;
                 }),
                 Error)
        << group;
  }
}

// Inputs in another order than their groups (desc_act without static groups) are read all the same.
TEST_F(GroupModel, GroupsInAnyOrder) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
  const SafetensorsFile whole(folder_ / "out" / "model.safetensors");
  std::vector<int32_t> mixed(64);
  for (int32_t i = 0; i < 64; ++i) mixed[static_cast<size_t>(i)] = i % 2;
  std::vector<TensorToWrite> tensors;
  for (const auto& [name, entry] : whole.tensors()) {
    tensors.push_back({name, entry.dtype, entry.shape, entry.bytes});
    if (name == "model.layers.0.self_attn.q_proj.g_idx") tensors.back().bytes = std::as_bytes(std::span(mixed));
  }
  fs::create_directories(folder_ / "mixed");
  fs::copy(folder_ / "out" / "config.json", folder_ / "mixed" / "config.json");
  WriteSafetensors(folder_ / "mixed" / "model.safetensors", tensors);
  const ModelFiles files = OpenModel(folder_ / "mixed"), plain = OpenModel(folder_ / "out");
  const Plan plan = PlanOf(files, WeightMode::kAsStored), other = PlanOf(plain, WeightMode::kAsStored);
  EXPECT_EQ(plan.Find(Role::kQ, 0)->layout, Layout::kF32);
  EXPECT_EQ(plan.Find(Role::kK, 0)->layout, Layout::kInt4Zero);
  const TensorSource source = FindSource(files, plan.config, *plan.Find(Role::kQ, 0));
  const Weights weights(plan, files);
  std::vector<float> row(64), got(64);
  for (size_t r = 0; r < 64; ++r) {
    source.ReadRow(r, row.data());
    DecodeRow(weights.Matrix(Role::kQ, 0), r, got.data());
    EXPECT_EQ(got, row);
    for (size_t i = 0; i < 64; ++i) {
      const GroupedView& view = source.grouped;
      const auto group = static_cast<size_t>(mixed[i]);
      const int code = static_cast<int>(view.Code(r, i)) - static_cast<int>(view.Zero(r, group));
      ASSERT_EQ(row[i], F16ToFloat(view.ScaleBits(r, group)) * static_cast<float>(code));
    }
  }
}

TEST_F(GroupModel, RefusesWhatDoesNotFit) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  options_.groups.group_size = 48;
  EXPECT_THROW(QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_), Error);
  options_.groups.group_size = 32;
  fs::create_directories(folder_ / "taken");
  WriteFileAtomic(folder_ / "taken" / "config.json", "{}");
  EXPECT_THROW(QuantizeGroups(folder_ / "model", folder_ / "taken", calibration_, options_), Error);
  QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
  EXPECT_THROW(QuantizeGroups(folder_ / "out", folder_ / "again", calibration_, options_), Error);  // quantized already
  EXPECT_NO_THROW(QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_));      // ours: replaced
}

// --- GGUF files from the same models.

TEST_F(GroupModel, GgufOfEveryTypeIsReadAgain) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  Context context(Numerics::kExact, 2);
  const Importance importance = MeasureImportance(OpenModel(folder_ / "model"), calibration_.samples, context, true);
  for (const GgufFileType& type : GgufFileTypes())
    for (const bool weighted : {false, true}) {
      GgufOptions options{.type = &type, .importance = weighted ? &importance : nullptr, .quiet = true, .threads = 2};
      const fs::path path = folder_ / "model.gguf";
      QuantizeGguf(folder_ / "model", path, options);
      const GgufFile file(path);
      EXPECT_EQ(file.Int("general.file_type", 0, 100), type.number);
      EXPECT_LT(Distance(path), GetFormat(type.format).block == 1 ? 1e-3 : 0.2) << type.name;
      EXPECT_TRUE(AllClose(Logits(path), Logits(path, WeightMode::kF32), 2e-5, 2e-5)) << type.name;
    }
  // F32 loses nothing: the permutation of q and k is undone on reading.
  QuantizeGguf(folder_ / "model", folder_ / "f32.gguf", {.type = FindGgufFileType("f32"), .quiet = true});
  EXPECT_TRUE(AllClose(Logits(folder_ / "f32.gguf"), Logits(folder_ / "model"), 0));
  // And from a GGUF to another.
  QuantizeGguf(folder_ / "f32.gguf", folder_ / "again.gguf", {.type = FindGgufFileType("Q8_0"), .quiet = true});
  QuantizeGguf(folder_ / "model", folder_ / "direct.gguf", {.type = FindGgufFileType("Q8_0"), .quiet = true});
  EXPECT_EQ(Logits(folder_ / "again.gguf"), Logits(folder_ / "direct.gguf"));
}

TEST_F(GroupModel, GgufFilesOfOthersAreNotReplaced) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  tiny::WriteGguf(folder_ / "theirs.gguf", FormatId::kQ8_0);
  const GgufOptions options{.type = FindGgufFileType("Q4_0"), .quiet = true};
  EXPECT_THROW(QuantizeGguf(folder_ / "model", folder_ / "theirs.gguf", options), Error);
  QuantizeGguf(folder_ / "model", folder_ / "ours.gguf", options);
  EXPECT_NO_THROW(QuantizeGguf(folder_ / "model", folder_ / "ours.gguf", options));
  EXPECT_THROW(QuantizeGguf(folder_ / "ours.gguf", folder_ / "ours.gguf", options), Error);
}

TEST_F(GroupModel, ImportanceGoesThroughFiles) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  Context context(Numerics::kExact, 2);
  const Importance importance = MeasureImportance(OpenModel(folder_ / "model"), calibration_.samples, context, true);
  ASSERT_EQ(importance.size(), 2u * 7u);
  EXPECT_EQ(importance.at("blk.1.ffn_down.weight").size(), 128u);
  EXPECT_EQ(importance.at("blk.0.attn_q.weight"), importance.at("blk.0.attn_k.weight"));
  WriteImportance(folder_ / "imatrix.gguf", importance, 300, 32, "texts");
  const Importance read = ReadImportance(folder_ / "imatrix.gguf");
  ASSERT_EQ(read.size(), importance.size());
  for (const auto& [name, values] : importance) EXPECT_TRUE(AllClose(read.at(name), values, 0, 1e-6)) << name;
  // The older kind: entries of name, calls, sums.
  std::string old;
  const auto put = [&](auto value) { old.append(reinterpret_cast<const char*>(&value), sizeof(value)); };
  put(int32_t{1});
  put(int32_t{3});
  old += "abc";
  put(int32_t{4});
  put(int32_t{2});
  put(8.0f);
  put(2.0f);
  WriteFileAtomic(folder_ / "imatrix.dat", old);
  EXPECT_EQ(ReadImportance(folder_ / "imatrix.dat").at("abc"), (std::vector<float>{2.0f, 0.5f}));
  for (size_t cut = 0; cut < old.size(); ++cut) {
    WriteFileAtomic(folder_ / "cut.dat", old.substr(0, cut));
    EXPECT_THROW((void)ReadImportance(folder_ / "cut.dat"), Error) << cut;
  }
  // Of another model.
  Importance wrong = importance;
  wrong["blk.0.attn_q.weight"].pop_back();
  const GgufOptions options{.type = FindGgufFileType("Q4_0"), .importance = &wrong, .quiet = true};
  EXPECT_THROW(QuantizeGguf(folder_ / "model", folder_ / "out.gguf", options), Error);
  EXPECT_FALSE(fs::exists(folder_ / "out.gguf"));
}

}  // namespace
}  // namespace qad
