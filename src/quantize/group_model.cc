#include "quantize/group_model.h"

#include <array>
#include <cmath>
#include <utility>

#include "base/error.h"
#include "base/files.h"
#include "base/hash.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "kernels/targets.h"
#include "model/weights.h"
#include "quantize/artefact.h"
#include "quantize/awq.h"
#include "quantize/block_walk.h"
#include "quantize/group_folder.h"
#include "quantize/layer_store.h"

namespace qad {
namespace fs = std::filesystem;

namespace {}  // namespace

std::string_view MethodName(GroupMethod method) {
  switch (method) {
    case GroupMethod::kRtn:
      return "rtn";
    case GroupMethod::kGptq:
      return "gptq";
    case GroupMethod::kAwq:
      return "awq";
    case GroupMethod::kAwqGptq:
      return "awq-gptq";
  }
  QAD_CHECK(false);
}

void RequireGroupsFit(const ModelFiles& files, const Plan& plan, const GroupModelOptions& options) {
  for (const TensorSpec& spec : plan.tensors) {
    if (!IsBlockMatrix(spec)) continue;
    const size_t group = options.groups.GroupOf(spec.cols);
    if (spec.cols % group != 0)
      FailInput("{}: \"{}\": group size {} does not divide its {} inputs; -1 takes a whole row", files.path.string(),
                spec.name, group, spec.cols);
    if (!CanPack(options.packing, options.groups.bits, spec.rows, spec.cols))
      FailInput(
          "{}: \"{}\" is ({}, {}): codes of {} bits do not fill whole words of 32; take other bits or another method",
          files.path.string(), spec.name, spec.rows, spec.cols, options.groups.bits);
  }
}

namespace {

// What is written for one tensor, with the memory it lies in.
struct Packed {
  Packed(const TensorSpec& of, PackedGroups made)
      : spec(&of), groups(std::move(made)), shape{static_cast<int64_t>(of.rows), static_cast<int64_t>(of.cols)} {}

  const TensorSpec* spec;
  PackedGroups groups;
  std::array<int64_t, 2> shape;
};

class Solver {
 public:
  Solver(const ModelFiles& files, const Calibration& calibration, const GroupModelOptions& options, LayerStore& store)
      : files_(files),
        options_(options),
        store_(store),
        texts_(!calibration.samples.empty()),
        plan_(PlanOf(files, WeightMode::kF32)),
        context_(Numerics::kFast, options.threads),
        walk_(files, plan_, calibration.samples, context_),
        progress_(fmt::format("quantize by {}", MethodName(options.method)), static_cast<double>(walk_.layers()),
                  "layers", options.quiet) {}

  void Run() {
    for (size_t layer = 0; layer < walk_.layers(); ++layer) {
      ThrowIfInterrupted();
      walk_.Load(layer, options_.method == GroupMethod::kAwqGptq);
      layer < store_.done() ? Replay(layer) : Solve(layer);
    }
  }

  const Plan& plan() const { return plan_; }
  std::vector<RoleError> errors() const { return errors_.ByRole(); }

 private:
  const TensorSpec& Spec(Role role, size_t layer, bool bias = false) const {
    return *plan_.Find(role, static_cast<int>(layer), bias);
  }

  using Moments = std::vector<float>;  // of each input

  void Solve(size_t layer) {
    std::vector<Packed> packed;
    SolveError total;
    if (options_.method == GroupMethod::kAwq) {
      // Scaling leaves the block's outputs as they are; these are the next one's inputs, unquantized.
      const std::vector<Moments> moments = FindScales(layer, true);
      for (const BlockWalk::Input input : BlockWalk::kInputs)
        for (const Role role : walk_.Readers(input))
          packed.push_back(Round(Spec(role, layer), moments[static_cast<size_t>(input)]));
    } else {
      if (options_.method == GroupMethod::kAwqGptq) {
        (void)FindScales(layer, false);
        walk_.Restart();
      }
      for (const BlockWalk::Input input : BlockWalk::kInputs) SolveInput(layer, input, packed, total);
      if (texts_) walk_.Finish();
    }
    Save(layer, packed, total);
    progress_.Advance(1, Feeds(options_.method)
                             ? fmt::format("layer {}: outputs change by {:.4f}", layer, std::sqrt(total.relative()))
                             : fmt::format("layer {}", layer));
  }

  // In errors.
  std::string Where(const TensorSpec& spec) const { return fmt::format("{}: \"{}\"", files_.path.string(), spec.name); }

  // The operations that read one input, on what the operations before them, rounded already, give.
  void SolveInput(size_t layer, BlockWalk::Input input, std::vector<Packed>& packed, SolveError& total) {
    ThrowIfInterrupted();
    const std::vector<Role> readers = walk_.Readers(input);
    if (!texts_) {
      for (const Role role : readers) packed.push_back(Round(Spec(role, layer), Moments()));
      return;
    }
    const BlockInput rows = walk_.Compute(input);
    if (!Feeds(options_.method)) {
      const std::vector<double> sums = SumsOfSquares(rows);
      RequireFiniteInputs(sums, Where(Spec(readers.front(), layer)));
      for (const Role role : readers) packed.push_back(Round(Spec(role, layer), Moments(sums.begin(), sums.end())));
      return;
    }
    const Feedback feedback = MakeFeedback(GramOf(rows, context_), rows.width, options_.damping, options_.act_order,
                                           Where(Spec(readers.front(), layer)));
    for (const Role role : readers) {
      const TensorSpec& spec = Spec(role, layer);
      const std::span<float> weights = walk_.Matrix(role);
      const std::vector<float> before(weights.begin(), weights.end());
      GroupCodes codes;
      const SolveError error = SolveGroups(weights, spec.rows, feedback, options_.groups, &codes);
      total.change += error.change;
      total.size += error.size;
      AddErrors(spec, before, weights);
      packed.push_back({spec, PackGroups(codes, options_.packing, ZeroOffset(options_))});
    }
  }

  Packed Round(const TensorSpec& spec, const Moments& moments) {
    const std::span<float> weights = walk_.Matrix(spec.role);
    const std::vector<float> before(weights.begin(), weights.end());
    GroupCodes codes;
    RoundGroups(weights, spec.rows, spec.cols, moments, options_.groups, &codes, Where(spec));
    AddErrors(spec, before, weights);
    return {spec, PackGroups(codes, options_.packing, ZeroOffset(options_))};
  }

  // Scales the inputs of the block's operations where something before them can take the inverse, and returns the
  // second moments of the scaled inputs. `finish`: the walk goes on to the next block first, as if nothing had
  // happened.
  std::vector<Moments> FindScales(size_t layer, bool finish) {
    std::vector<Moments> moments;
    std::vector<std::vector<float>> factors;
    for (const BlockWalk::Input input : BlockWalk::kInputs) {
      ThrowIfInterrupted();
      const BlockInput rows = walk_.Compute(input);
      const std::vector<float> gram = GramOf(rows, context_);
      RequireFiniteInputs(Diagonal(gram, rows.width), Where(Spec(walk_.Readers(input).front(), layer)));
      std::vector<Reader> readers;
      for (const Role role : walk_.Readers(input)) readers.push_back({walk_.Matrix(role), Spec(role, layer).rows});
      factors.emplace_back(rows.width, 1.0f);
      if (CanFold(input)) factors.back() = SearchScales(readers, rows.width, gram, SharesOf(input), options_.groups);
      Moments& of_scaled = moments.emplace_back(rows.width);
      for (size_t i = 0; i < rows.width; ++i)
        of_scaled[i] = gram[i * rows.width + i] / (factors.back()[i] * factors.back()[i]);
    }
    if (finish) walk_.Finish();
    for (const BlockWalk::Input input : BlockWalk::kInputs) Fold(input, factors[static_cast<size_t>(input)]);
    return moments;
  }

  // Between the two products of an MLP without a gate stands a function that no factor passes.
  bool CanFold(BlockWalk::Input input) const {
    return input != BlockWalk::Input::kDown || plan_.config.family->traits.activation == Activation::kSwiGlu;
  }

  // An output of v feeds as many inputs of o as query heads share its head.
  std::vector<size_t> SharesOf(BlockWalk::Input input) const {
    std::vector<size_t> shares;
    if (input != BlockWalk::Input::kOutput) return shares;
    const ModelConfig& c = plan_.config;
    for (size_t head = 0; head < c.heads; ++head)
      for (size_t i = 0; i < c.head_dim; ++i) shares.push_back(head / (c.heads / c.kv_heads) * c.head_dim + i);
    return shares;
  }

  void Fold(BlockWalk::Input input, const std::vector<float>& factors) {
    for (const Role role : walk_.Readers(input)) ScaleColumns(walk_.Matrix(role), factors);
    const ModelConfig& c = plan_.config;
    switch (input) {
      case BlockWalk::Input::kAttention:
        return DivideVector(Role::kAttentionNorm, factors);
      case BlockWalk::Input::kMlp:
        return DivideVector(Role::kMlpNorm, factors);
      case BlockWalk::Input::kOutput: {
        const std::vector<size_t> shares = SharesOf(input);
        std::vector<float> of_value(c.kv_heads * c.head_dim);
        for (size_t i = 0; i < shares.size(); ++i) of_value[shares[i]] = factors[i];
        return c.family->traits.fused_qkv ? DivideRows(Role::kQkv, (c.heads + c.kv_heads) * c.head_dim, of_value)
                                          : DivideRows(Role::kV, 0, of_value);
      }
      case BlockWalk::Input::kDown:
        return c.family->traits.fused_gate_up ? DivideRows(Role::kGateUp, c.intermediate, factors)
                                              : DivideRows(Role::kUp, 0, factors);
    }
  }

  void DivideVector(Role role, const std::vector<float>& factors) {
    for (const bool bias : {false, true}) {
      const std::span<float> values = walk_.Vector(role, bias);
      for (size_t i = 0; i < values.size(); ++i) values[i] /= factors[i];
    }
  }

  // Outputs from `first` on, with their biases.
  void DivideRows(Role role, size_t first, const std::vector<float>& factors) {
    const std::span<float> matrix = walk_.Matrix(role), bias = walk_.Vector(role, true);
    const size_t cols = plan_.Find(role, static_cast<int>(walk_.layer()))->cols;
    for (size_t i = 0; i < factors.size(); ++i) {
      for (float& w : matrix.subspan((first + i) * cols, cols)) w /= factors[i];
      if (!bias.empty()) bias[first + i] /= factors[i];
    }
  }

  void AddErrors(const TensorSpec& spec, const std::vector<float>& before, std::span<const float> after) {
    std::vector<RowError> errors(spec.rows);
    for (size_t row = 0; row < spec.rows; ++row)
      errors[row] =
          CompareRows(std::span(before).subspan(row * spec.cols, spec.cols), after.subspan(row * spec.cols, spec.cols));
    const RowError sum = SumOf(errors);
    errors_.Add(spec.role, sum, spec.elements());
    layer_errors_.push_back(
        {{"tensor", spec.name}, {"squares", sum.squares}, {"norm", sum.norm}, {"largest", sum.largest}});
  }

  void AddCompressed(const Packed& one, std::vector<TensorToWrite>& tensors) {
    const auto rows = static_cast<int64_t>(one.spec->rows);
    const auto groups = static_cast<int64_t>(one.groups.scales.size()) / rows;
    const auto words = [&](size_t values) { return static_cast<int64_t>(PackedWords(values, options_.groups.bits)); };
    const std::string base = BaseName(*one.spec);
    tensors.push_back({base + ".weight_packed",
                       DType::kI32,
                       {rows, words(one.spec->cols)},
                       std::as_bytes(std::span(one.groups.codes))});
    tensors.push_back(
        {base + ".weight_scale", DType::kF16, {rows, groups}, std::as_bytes(std::span(one.groups.scales))});
    if (!options_.groups.symmetric)
      tensors.push_back({base + ".weight_zero_point",
                         DType::kI32,
                         {words(one.spec->rows), groups},
                         std::as_bytes(std::span(one.groups.zeros))});
    tensors.push_back({base + ".weight_shape", DType::kI64, {2}, std::as_bytes(std::span(one.shape))});
  }

  void Save(size_t layer, const std::vector<Packed>& packed, const SolveError& total) {
    std::vector<TensorToWrite> tensors;
    for (const Packed& one : packed) {
      const auto rows = static_cast<int64_t>(one.spec->rows), cols = static_cast<int64_t>(one.spec->cols);
      const auto groups = static_cast<int64_t>(one.groups.scales.size()) / rows;
      const auto words = static_cast<int64_t>(PackedWords(one.spec->rows, options_.groups.bits));
      const std::string base = BaseName(*one.spec);
      if (options_.packing == Packing::kCompressed) {
        AddCompressed(one, tensors);
        continue;
      }
      const bool gptq = options_.packing == Packing::kGptq;
      const int64_t code_rows = gptq ? static_cast<int64_t>(one.groups.codes.size()) / rows : cols;
      tensors.push_back({base + ".qweight",
                         DType::kI32,
                         {code_rows, gptq ? rows : rows / 8},
                         std::as_bytes(std::span(one.groups.codes))});
      tensors.push_back({base + ".qzeros",
                         DType::kI32,
                         {groups, gptq ? words : rows / 8},
                         std::as_bytes(std::span(one.groups.zeros))});
      tensors.push_back({base + ".scales", DType::kF16, {groups, rows}, std::as_bytes(std::span(one.groups.scales))});
      if (gptq)
        tensors.push_back({base + ".g_idx", DType::kI32, {cols}, std::as_bytes(std::span(one.groups.group_of))});
    }
    for (const TensorSpec& spec : plan_.tensors)
      if (spec.layer == static_cast<int>(layer) && IsVector(spec))
        tensors.push_back({spec.name,
                           DType::kF32,
                           {static_cast<int64_t>(spec.cols)},
                           std::as_bytes(std::span<const float>(walk_.Vector(spec.role, spec.bias)))});
    store_.Save(
        layer, std::move(tensors),
        {{"change", total.change}, {"size", total.size}, {"errors", std::exchange(layer_errors_, Json::array())}});
  }

  // The weights that an earlier run came to.
  void Replay(size_t layer) {
    struct Names {
      const char *codes, *zeros, *scales;
    };
    const Names names = options_.packing == Packing::kCompressed
                            ? Names{".weight_packed", ".weight_zero_point", ".weight_scale"}
                            : Names{".qweight", ".qzeros", ".scales"};
    const std::unique_ptr<SafetensorsFile> file = store_.Open(layer);
    if (options_.method == GroupMethod::kAwq) walk_.Finish();
    for (const TensorSpec& spec : plan_.tensors) {
      if (spec.layer != static_cast<int>(layer)) continue;
      const std::span<float> values = walk_.Vector(spec.role, spec.bias);
      if (IsVector(spec)) {
        std::ranges::copy(ToFloats(file->At(spec.name)), values.begin());
        continue;
      }
      const std::string base = BaseName(spec);
      const auto zeros = file->tensors().find(base + names.zeros);
      const GroupedView view{.packing = options_.packing,
                             .bits = options_.groups.bits,
                             .rows = spec.rows,
                             .cols = spec.cols,
                             .group = options_.groups.GroupOf(spec.cols),
                             .zero_offset = ZeroOffset(options_),
                             .codes = file->At(base + names.codes).bytes.data(),
                             .zeros = zeros == file->tensors().end() ? nullptr : zeros->second.bytes.data(),
                             .scales = file->At(base + names.scales).bytes.data()};
#pragma omp parallel for schedule(static)
      for (int64_t row = 0; row < static_cast<int64_t>(spec.rows); ++row)
        view.DecodeRow(static_cast<size_t>(row), values.data() + static_cast<size_t>(row) * spec.cols);
    }
    for (const Json& error : store_.Summary(layer)["errors"])
      for (const TensorSpec& spec : plan_.tensors)
        if (spec.name == error["tensor"])
          errors_.Add(spec.role, {error["squares"], error["norm"], error["largest"]}, spec.elements());
    if (texts_ && options_.method != GroupMethod::kAwq) walk_.Finish();
    progress_.Advance(1, fmt::format("layer {}: done before", layer));
  }

  const ModelFiles& files_;
  const GroupModelOptions& options_;
  LayerStore& store_;
  bool texts_;  // else all inputs count alike
  Plan plan_;
  Context context_;
  BlockWalk walk_;
  Progress progress_;
  Errors errors_;
  Json layer_errors_ = Json::array();
};

// Of all that the layers depend on.
Json KeyOf(const ModelFiles& files, const Calibration& calibration, const GroupModelOptions& options) {
  const Json key{{"made by", "qad quantize"},
                 {"program", ProgramSha256()},
                 {"target", CurrentTarget()},
                 {"source", files.Hash()},
                 {"texts", calibration.Hash()},
                 {"symmetric", options.groups.symmetric},
                 {"damping", options.damping},
                 {"act_order", options.act_order},
                 {"quantization", GroupQuantizationConfig(options)}};
  files.DropPages();
  return key;
}

}  // namespace

QuantizeReport QuantizeGroups(const fs::path& source, const fs::path& output, const Calibration& calibration,
                              const GroupModelOptions& options) {
  QAD_CHECK(options.method == GroupMethod::kRtn || !calibration.samples.empty());
  RequireReplaceable(output, source);
  const ReportFrame frame(options.threads);
  const ModelFiles files = OpenModel(source);
  RequireRunnable(ConfigOf(files), files.path.string());
  const Json quantization = GroupQuantizationConfig(options);
  Json config = ArtefactConfig(files, quantization);
  config["torch_dtype"] = "float16";
  const Plan plan = PlanOf(files, WeightMode::kAsStored);
  RequireGroupsFit(files, plan, options);
  if (Feeds(options.method)) WarnOfFewTokens(calibration, plan);
  LayerStore store(output, KeyOf(files, calibration, options));
  std::vector<RoleError> errors;
  {
    Solver solver(files, calibration, options, store);
    solver.Run();
    errors = solver.errors();
  }
  FolderSwap swap(output);
  WriteFileAtomic(swap.path() / "config.json", DumpJson(config));
  WriteFileAtomic(swap.path() / "quantize_config.json", DumpJson(quantization));
  WriteTokenizerFiles(files, swap.path());
  WriteGroupWeights(swap.path() / "model.safetensors", files, plan, store);
  const uint64_t bytes = fs::file_size(swap.path() / "model.safetensors");
  swap.Commit();
  std::vector<double> changes = store.Changes();
  store.Finish();
  return frame.Finish(output, bytes, plan.stored_bytes(), std::move(errors), std::move(changes));
}

}  // namespace qad
