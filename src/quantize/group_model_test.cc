#include "quantize/group_model.h"

#include "base/error.h"
#include "base/half.h"
#include "base/test_files.h"
#include "model/load.h"
#include "model/source.h"
#include "quantize/layer_store.h"
#include "quantize/model_testing.h"

namespace qad {
namespace {

class GroupModel : public QuantizedModel {
 protected:
  void SetUp() override {
    QuantizedModel::SetUp();
    options_.quiet = true;
    options_.groups.group_size = 32;
  }

  // `whole`: what an undisturbed run writes, to whole/. Another, to out/, whose disk was full once its layers were
  // done, leaves the first of them.
  void StopBehindTheFirstLayer(std::string* whole) {
    fs::remove_all(folder_ / "out");
    fs::remove_all(folder_ / "whole");
    QuantizeGroups(folder_ / "model", folder_ / "whole", calibration_, options_);
    *whole = ReadTextFile(folder_ / "whole" / "model.safetensors");
    const int code = WithFileSizeLimit(
        whole->size() * 3 / 4, [&] { QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_); });
    EXPECT_EQ(code, static_cast<int>(ErrorKind::kFailed));
    EXPECT_FALSE(fs::exists(folder_ / "out"));
    ASSERT_TRUE(fs::exists(folder_ / "out.layers" / "layer-1.safetensors"));
    fs::remove(folder_ / "out.layers" / "layer-1.safetensors");
  }

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
          options_.packing = OwnPacking(method);
          if (options_.packing == Packing::kAwq && (bits != 4 || symmetric)) continue;
          options_.groups = {.bits = bits, .group_size = group, .symmetric = symmetric};
          const QuantizeReport report = QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
          EXPECT_EQ(report.bytes, fs::file_size(folder_ / "out" / "model.safetensors"));
          const ModelFiles files = OpenModel(folder_ / "out");
          const Plan plan = PlanOf(files, WeightMode::kAsStored);
          const bool bytes = bits == 8;
          const Layout layout = !bytes ? Layout::kInt4Zero : symmetric ? Layout::kInt8Block : Layout::kF32;
          EXPECT_EQ(plan.Find(Role::kQ, 0)->layout, layout);
          EXPECT_EQ(Weights(plan, files).allocated_bytes(), plan.weight_bytes());
          EXPECT_TRUE(AllClose(Logits(folder_ / "out"), Logits(folder_ / "out", WeightMode::kF32), 2e-5, 2e-5));
          EXPECT_LT(Distance(folder_ / "out"), bits == 8   ? 1e-3
                                               : bits == 4 ? 0.1
                                                           : 0.8)
              << static_cast<int>(method) << " " << bits << " " << group << " " << symmetric;
          EXPECT_FALSE(fs::exists(folder_ / "out.layers"));
        }
}

// The same codes in the layout of compressed-tensors.
TEST_F(GroupModel, CompressedTensorsHoldTheSame) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  for (const int bits : {2, 3, 4, 8})
    for (const size_t group : {size_t{0}, size_t{32}})
      for (const bool symmetric : {true, false}) {
        options_.groups = {.bits = bits, .group_size = group, .symmetric = symmetric};
        options_.packing = Packing::kGptq;
        QuantizeGroups(folder_ / "model", folder_ / "gptq", calibration_, options_);
        options_.packing = Packing::kCompressed;
        QuantizeGroups(folder_ / "model", folder_ / "compressed", calibration_, options_);
        EXPECT_EQ(PlanOf(OpenModel(folder_ / "compressed"), WeightMode::kAsStored).Find(Role::kQ, 0)->layout,
                  PlanOf(OpenModel(folder_ / "gptq"), WeightMode::kAsStored).Find(Role::kQ, 0)->layout);
        EXPECT_EQ(Logits(folder_ / "compressed"), Logits(folder_ / "gptq")) << bits << " " << group;
      }
}

// Scales of other types: in integers where f16 holds them, else decoded.
TEST_F(GroupModel, ScalesOfOtherTypesAreRead) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  for (const auto& [method, packing] : {std::pair(GroupMethod::kGptq, Packing::kCompressed),
                                        {GroupMethod::kGptq, Packing::kGptq},
                                        {GroupMethod::kAwq, Packing::kAwq}}) {
    options_.method = method;
    options_.packing = packing;
    options_.groups.symmetric = packing != Packing::kAwq;
    QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
    const SafetensorsFile whole(folder_ / "out" / "model.safetensors");
    const bool compressed = packing == Packing::kCompressed;
    const std::string changed =
        std::string("model.layers.0.self_attn.q_proj.") + (compressed ? "weight_scale" : "scales");
    const SafetensorsEntry& scales = whole.At(changed);
    const auto count = static_cast<size_t>(scales.Elements());
    const auto with = [&](DType dtype, float factor) {
      std::vector<float> values(count);
      for (size_t i = 0; i < count; ++i) {
        uint16_t bits;
        std::memcpy(&bits, scales.bytes.data() + 2 * i, 2);
        values[i] = BF16ToFloat(FloatToBF16(F16ToFloat(bits))) * factor;
        if (dtype == DType::kBF16) values[i] = BF16ToFloat(FloatToBF16(values[i]));
      }
      const std::vector<std::byte> bytes = tiny::Encode(values, dtype);
      std::vector<TensorToWrite> tensors;
      for (const auto& [name, entry] : whole.tensors())
        tensors.push_back({name, name == changed ? dtype : entry.dtype, entry.shape,
                           name == changed ? std::span<const std::byte>(bytes) : entry.bytes});
      fs::create_directories(folder_ / "other");
      fs::copy_file(folder_ / "out" / "config.json", folder_ / "other" / "config.json",
                    fs::copy_options::overwrite_existing);
      WriteSafetensors(folder_ / "other" / "model.safetensors", tensors);
      const ModelFiles files = OpenModel(folder_ / "other");
      const Plan plan = PlanOf(files, WeightMode::kAsStored);
      const TensorSpec& spec = *plan.Find(Role::kQ, 0);
      const Weights weights(plan, files);
      std::vector<float> row(spec.cols), got(spec.cols);
      for (size_t r = 0; r < spec.rows; ++r) {
        FindSource(files, plan.config, spec).ReadRow(r, row.data());
        DecodeRow(weights.Matrix(Role::kQ, 0), r, got.data());
        EXPECT_EQ(got, row);
        const GroupedView view = FindSource(files, plan.config, spec).grouped;
        EXPECT_EQ(view.Scale(r, 1), values[compressed ? r * view.groups() + 1 : spec.rows + r]);
      }
      return spec.layout;
    };
    EXPECT_EQ(with(DType::kBF16, 1), Layout::kInt4Zero);
    EXPECT_EQ(with(DType::kF32, 1), Layout::kInt4Zero);
    EXPECT_EQ(with(DType::kF32, 1.0001f), Layout::kF32);
    EXPECT_EQ(with(DType::kBF16, 1e-6f), Layout::kF32);  // below what f16 tells apart
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

// Inputs that carry large activations, as the norms before them make them: what AWQ is for.
TEST_F(GroupModel, ScalesProtectInputsThatCarryLargeActivations) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  {
    const SafetensorsFile file(folder_ / "model" / "model.safetensors");
    std::vector<TensorToWrite> tensors;
    std::vector<std::vector<float>> gains;
    gains.reserve(file.tensors().size());
    for (const auto& [name, entry] : file.tensors()) {
      tensors.push_back({name, entry.dtype, entry.shape, entry.bytes});
      if (name.find("layernorm") == std::string::npos) continue;
      std::vector<float>& gain = gains.emplace_back(ToFloats(entry));
      for (const size_t input : {3, 17, 40}) gain[input] *= 40;
      tensors.back().bytes = std::as_bytes(std::span(gain));
    }
    WriteSafetensors(folder_ / "model" / "model.safetensors", tensors, file.metadata());
  }
  const auto distance = [&](GroupMethod method, bool symmetric) {
    options_.method = method;
    options_.packing = OwnPacking(method);
    options_.groups.symmetric = symmetric;
    QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
    return Distance(folder_ / "out");
  };
  EXPECT_LT(distance(GroupMethod::kAwq, false), 0.9 * distance(GroupMethod::kRtn, false));
  EXPECT_LT(distance(GroupMethod::kAwqGptq, true), distance(GroupMethod::kGptq, true));
}

TEST_F(GroupModel, RoundingToNearestWantsNoTexts) {
  for (const char* config : {kWide, kWideGpt2}) {
    tiny::WriteFolder(folder_ / "model", config, DType::kF32);
    options_.method = GroupMethod::kRtn;
    QuantizeGroups(folder_ / "model", folder_ / "blind", Calibration(), options_);
    EXPECT_LT(Distance(folder_ / "blind"), 0.1);
    QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
    EXPECT_NE(Distance(folder_ / "blind"), Distance(folder_ / "out"));  // inputs that are larger count for more
  }
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

// AWQ's factors are folded into what comes before, and must be found again behind layers that are taken up.
TEST_F(GroupModel, EveryMethodGoesOnBehindFinishedLayers) {
  options_.threads = 1;  // the parent's threads do not exist in the child
  for (const char* config : {kWide, kWideGpt2})
    for (const GroupMethod method : {GroupMethod::kGptq, GroupMethod::kAwq, GroupMethod::kAwqGptq}) {
      tiny::WriteFolder(folder_ / "model", config, DType::kF32);
      options_.method = method;
      options_.packing = method == GroupMethod::kAwq ? Packing::kAwq : Packing::kGptq;
      options_.groups.symmetric = method != GroupMethod::kAwq;
      std::string whole;
      StopBehindTheFirstLayer(&whole);
      ASSERT_FALSE(HasFatalFailure());
      QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
      EXPECT_TRUE(ReadTextFile(folder_ / "out" / "model.safetensors") == whole) << static_cast<int>(method);
    }
}

TEST_F(GroupModel, ThreadsDoNotChangeAByte) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  for (const GroupMethod method : {GroupMethod::kRtn, GroupMethod::kGptq, GroupMethod::kAwqGptq}) {
    options_.method = method;
    std::string first;
    for (const int threads : {1, 2, 3}) {
      options_.threads = threads;
      QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
      const std::string bytes = ReadTextFile(folder_ / "out" / "model.safetensors");
      if (first.empty()) first = bytes;
      EXPECT_TRUE(bytes == first) << static_cast<int>(method) << ", " << threads << " threads";
    }
  }
}

TEST_F(GroupModel, NothingOfOthersIsReplaced) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  options_.method = GroupMethod::kRtn;
  const auto quantize = [&] { QuantizeGroups(folder_ / "model", folder_ / "out", Calibration(), options_); };
  quantize();
  quantize();  // over its own
  WriteFileAtomic(folder_ / "out" / "notes.txt", "mine");
  EXPECT_THROW(quantize(), Error);
  fs::remove(folder_ / "out" / "notes.txt");
  fs::create_directories(folder_ / "out" / "model");
  EXPECT_THROW(quantize(), Error);
  EXPECT_TRUE(fs::exists(folder_ / "out" / "model"));
}

// A run that failed when its layers were done (the disk was full) goes on from them, to the same bytes.
TEST_F(GroupModel, GoesOnBehindFinishedLayers) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  options_.threads = 1;  // the parent's threads do not exist in the child
  for (const Packing packing : {Packing::kGptq, Packing::kCompressed}) {
    options_.packing = packing;
    std::string whole;
    StopBehindTheFirstLayer(&whole);
    ASSERT_FALSE(HasFatalFailure());
    for (const char* copy : {"kept.layers", "others.layers"})
      fs::copy(folder_ / "out.layers", folder_ / copy, fs::copy_options::recursive);
    QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
    EXPECT_EQ(ReadTextFile(folder_ / "out" / "model.safetensors"), whole);
    EXPECT_FALSE(fs::exists(folder_ / "out.layers"));
    // The first layer is what was kept, not solved anew.
    fs::rename(folder_ / "kept.layers", folder_ / "out.layers");
    const std::string name =
        "model.layers.0.mlp.down_proj." + std::string(packing == Packing::kGptq ? "qweight" : "weight_packed");
    ChangeFirst(folder_ / "out.layers" / "layer-0.safetensors", name, std::byte{0x5a});
    QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
    EXPECT_EQ(SafetensorsFile(folder_ / "out" / "model.safetensors").At(name).bytes[0], std::byte{0x5a});
    // With other settings it is solved anew.
    fs::rename(folder_ / "others.layers", folder_ / "out.layers");
    ChangeFirst(folder_ / "out.layers" / "layer-0.safetensors", name, std::byte{0x5a});
    options_.damping = 0.05;
    QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
    QuantizeGroups(folder_ / "model", folder_ / "whole", calibration_, options_);
    EXPECT_EQ(ReadTextFile(folder_ / "out" / "model.safetensors"),
              ReadTextFile(folder_ / "whole" / "model.safetensors"));
    options_.damping = 0.01;
  }
}

// A folder of codes in groups again, its weights as `edit` leaves each of them (dropped where it says so), with one
// matrix's inputs in groups as named.
using Edit = std::function<bool(TensorToWrite&)>;
void CopyEdited(const fs::path& from, const fs::path& to, const std::string& order,
                const std::vector<int32_t>& group_of, const Edit& edit) {
  const SafetensorsFile whole(from / "model.safetensors");
  std::vector<TensorToWrite> all, kept;
  for (const auto& [name, entry] : whole.tensors())
    if (name != order) all.push_back({name, entry.dtype, entry.shape, entry.bytes});
  all.push_back({order, DType::kI32, {static_cast<int64_t>(group_of.size())}, std::as_bytes(std::span(group_of))});
  for (TensorToWrite& tensor : all)
    if (edit(tensor)) kept.push_back(tensor);
  fs::create_directories(to);
  fs::copy_file(from / "config.json", to / "config.json", fs::copy_options::overwrite_existing);
  WriteSafetensors(to / "model.safetensors", kept);
}
bool KeepAll(TensorToWrite&) { return true; }

struct Parts {
  Packing packing;
  std::vector<std::string> needed, shaped, typed;  // of a matrix: may not be missing; nor of another shape; nor type
  std::string group_of;
};

// Tensors that do not fit each other or the configuration: an error, nothing else.
TEST_F(GroupModel, MalformedFoldersAreRefused) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  const std::string module = "model.layers.0.self_attn.q_proj.";
  const std::vector<int32_t> in_order(64, 0);
  for (const Parts& parts : {Parts{Packing::kGptq,
                                   {"qzeros", "scales"},
                                   {"qweight", "qzeros", "scales", "g_idx"},
                                   {"qweight", "scales"},
                                   "g_idx"},
                             Parts{Packing::kCompressed,
                                   {"weight_packed", "weight_scale"},
                                   {"weight_packed", "weight_scale", "weight_zero_point", "weight_g_idx"},
                                   {"weight_packed", "weight_zero_point"},
                                   "weight_g_idx"}}) {
    options_.packing = parts.packing;
    options_.groups.symmetric = parts.packing == Packing::kGptq;  // zeros of compressed-tensors are there without it
    QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
    const auto read = [&](const Edit& edit, const std::vector<int32_t>& group_of) {
      CopyEdited(folder_ / "out", folder_ / "bad", module + parts.group_of, group_of, edit);
      const ModelFiles files = OpenModel(folder_ / "bad");
      (void)Weights(PlanOf(files, WeightMode::kAsStored), files);
    };
    EXPECT_NO_THROW(read(KeepAll, in_order)) << parts.group_of;
    for (const std::string& part : parts.needed)
      EXPECT_THROW(read([&](TensorToWrite& tensor) { return tensor.name != module + part; }, in_order), Error) << part;
    for (const std::string& part : parts.shaped)
      EXPECT_THROW(read(
                       [&](TensorToWrite& tensor) {
                         if (tensor.name == module + part) tensor.shape.insert(tensor.shape.begin(), 1);
                         return true;
                       },
                       in_order),
                   Error)
          << part;
    for (const std::string& part : parts.typed)
      EXPECT_THROW(read(
                       [&](TensorToWrite& tensor) {
                         if (tensor.name == module + part)
                           tensor.dtype = tensor.dtype == DType::kF16 ? DType::kI16 : DType::kU32;
                         return true;
                       },
                       in_order),
                   Error)
          << part;
    for (const int32_t group : {-1, 2, INT32_MAX}) {
      std::vector<int32_t> indices = in_order;
      indices[17] = group;
      EXPECT_THROW(read(KeepAll, indices), Error) << group;
    }
  }
}

// Inputs in another order than their groups (desc_act without static groups) are read all the same.
TEST_F(GroupModel, GroupsInAnyOrder) {
  tiny::WriteFolder(folder_ / "model", kWide, DType::kF32);
  std::vector<int32_t> mixed(64);
  for (int32_t i = 0; i < 64; ++i) mixed[static_cast<size_t>(i)] = i % 2;
  for (const bool compressed : {false, true}) {
    options_.packing = compressed ? Packing::kCompressed : Packing::kGptq;
    QuantizeGroups(folder_ / "model", folder_ / "out", calibration_, options_);
    CopyEdited(folder_ / "out", folder_ / "mixed",
               std::string("model.layers.0.self_attn.q_proj.") + (compressed ? "weight_g_idx" : "g_idx"), mixed,
               KeepAll);
    const ModelFiles files = OpenModel(folder_ / "mixed");
    const Plan plan = PlanOf(files, WeightMode::kAsStored);
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
        ASSERT_EQ(row[i], view.Scale(r, group) * static_cast<float>(code));
      }
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

}  // namespace
}  // namespace qad
