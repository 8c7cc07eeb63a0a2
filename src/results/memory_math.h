// The memory math of one model as data: memory/ computes it from the plan, report/ prints it, memory_math.json keeps it
// beside results.json. All sizes are bytes. Formula texts have the numbers put in ("30 layers × 2 × 3 KV heads × 64
// …"), so that a reader can do the sum again.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "base/json.h"

namespace qad {

// One addend of a sum.
struct MemoryPart {
  std::string name;     // "attention", "optimizer"
  std::string formula;  // "30 × (576·576 + 2·576·192 + 576·576) × 2 B"
  uint64_t bytes = 0;
};

uint64_t SumOf(const std::vector<MemoryPart>& parts);

// The weights in one format.
struct WeightsMath {
  std::string format;             // "fp16", "int8", "int4", or the name of what was stored ("q4_1")
  bool stored = false;            // as the file holds it, or as an artefact of this run: not a what-if
  std::string formula;            // the whole sum: "134,515,008 × 2 B"
  std::vector<MemoryPart> parts;  // by component: embedding, attention, mlp, norms, head
  uint64_t bytes = 0;             // the sum of the parts
};

// One point of the KV cache's growth.
struct KvPoint {
  std::string type;                // "f32", "f16", "int8"
  int64_t context = 0, batch = 1;  // tokens, sequences
  uint64_t bytes = 0;
};

// A way to allot the cache to sequences that have not come to their full length.
struct KvAllotment {
  std::string way, formula;  // "paged", "8 × 128 blocks of 16"
  uint64_t bytes = 0;
};

// Keys and values of a model whose layers may have a window: of those each token is kept until it leaves the window.
struct KvMath {
  int64_t layers = 0, heads = 0, kv_heads = 0, head_dim = 0;
  std::string formula;                       // for one token of one sequence in `type`, numbers put in
  std::string type;                          // what runs use by default
  uint64_t bytes_per_token = 0;              // of one sequence, all layers, in `type`; within the window
  uint64_t bytes_per_token_without_gqa = 0;  // had every query head its own key and value
  int64_t window = 0, windowed_layers = 0;   // tokens that so many layers keep at most
  std::vector<KvPoint> points;               // context × batch × type, in the order to print
  // Of `allotted_batch` sequences that may grow to `allotted_context` tokens and have come to `allotted_tokens`, the
  // first `allotted_prefix` the same in all: the tokens alone, then by how a runtime allots.
  int64_t allotted_context = 0, allotted_batch = 0, allotted_tokens = 0, allotted_prefix = 0;
  std::vector<KvAllotment> allotments;

  uint64_t bytes_at(int64_t context) const;  // of one sequence, in `type`
};

// What training needs at its peak.
struct TrainingMath {
  std::string method;             // "LoRA", "QLoRA", "full"
  std::string assumptions;        // "r=8 on all linear layers, 2,048 packed tokens, AdamW in f32"
  std::vector<MemoryPart> parts;  // base weights, adapter, gradients, optimizer, activations, workspace
  uint64_t bytes = 0;

  void Add(std::string name, std::string part_formula, uint64_t part_bytes);  // a part, and to the sum
};

// "LoRA", "LoRA, computed again": a method with what it computes twice.
std::string SettingName(const std::string& method, bool recompute);

// One setting of training: a pass of sequence × batch packed tokens.
struct TrainingPoint {
  std::string method;
  int64_t sequence = 0, batch = 1, rank = 0;
  bool recompute = false;
  uint64_t bytes = 0;
};

// The longest pass that fits into MemoryMath::budget.
struct TrainingFit {
  std::string method;
  int64_t rank = 0;
  bool recompute = false;
  int64_t max_tokens = 0;  // 0: not even the shortest
};

// Sequences, and tokens of a training's pass, are counted up to so many.
inline constexpr int64_t kMostSequences = 1 << 20, kMostPassTokens = 1 << 24;

// "Fits in 16 GiB up to context N at batch B."
struct FitAnswer {
  uint64_t budget = 0;           // bytes
  std::string weights, kv_type;  // formats of the weights and of the cache
  int64_t batch = 1;
  int64_t max_context = 0;        // tokens; 0: not even the weights and their workspace fit
  bool limited_by_model = false;  // memory would allow more than the positions the model was trained for
  int64_t max_batch = 0;          // sequences of MemoryMath::case_context tokens each
};

// What fits on a machine with the context and batch that were asked for, and how fast it can be at most.
struct MachineFit {
  std::string machine, source;
  uint64_t memory = 0;  // bytes
  // "fits", "fits with a smaller cache", "fits as a smaller file", "does not fit": then what follows is what holds the
  // longest context, without speeds; nothing where no weights fit.
  std::string verdict;
  std::string weights, kv_type;
  int64_t max_context = 0;  // tokens
  bool limited_by_model = false;
  int64_t max_batch = 0;  // sequences of MemoryMath::case_context tokens each
  // Tokens per second, all sequences together: memory's bandwidth over weights and cache; operations over those that a
  // token of a prompt takes. 0: not known.
  double decode_ceiling = 0, prefill_ceiling = 0;
  // What a million tokens cost at least, at those speeds; 0: no price, or no ceiling. `price_per_hour`: of the machine.
  double price_per_hour = 0, decode_price = 0, prefill_price = 0;
};

struct PredictedMeasured {
  std::string what;  // "weights, int8", "KV cache, context 2,048, batch 1", "peak RSS, LoRA training"
  uint64_t predicted = 0, measured = 0;
  uint64_t allowed = 0;  // bytes that they may differ by

  bool holds() const { return (predicted < measured ? measured - predicted : predicted - measured) <= allowed; }
};

// What a measured peak may differ by from its prediction: 3% and 15 MiB in inference, 5% and 30 MiB in training.
uint64_t AllowedInInference(uint64_t measured);
uint64_t AllowedInTraining(uint64_t measured);

struct MemoryMath {
  std::string title;     // "SmolLM2-135M-Instruct"
  std::string hardware;  // the assumption: "16 GiB shared by weights, cache and workspace; 2 cores"
  uint64_t parameters = 0;
  uint64_t budget = 0;               // bytes, of fits and training_fits
  std::vector<MemoryPart> engine;    // what the program takes beside the model: measured, or of its vocabulary
  int64_t max_positions = 0;         // tokens the model was trained for
  std::vector<FitAnswer> fits;       // the first is the answer; others for comparison
  std::vector<WeightsMath> weights;  // fp16, int8, int4, then what was stored
  KvMath kv;
  // Tokens of context, of one sequence, whose cache takes as much as the weights in memory: what dominates
  // from there on. 0: never within the positions.
  int64_t cache_outgrows_weights = 0;
  uint64_t workspace_bytes = 0;  // activations of one step of inference, as fits counts them
  std::vector<MachineFit> machines;
  int64_t case_context = 0, case_batch = 0;  // of questions that name one case, as what fits on machines
  std::vector<TrainingMath> training;
  std::vector<TrainingPoint> training_points;
  std::vector<TrainingFit> training_fits;
  std::vector<PredictedMeasured> checks;
  std::vector<std::string> notes;  // caveats: units, padding, allocator, page cache, sliding windows

  bool has_room(uint64_t bytes) const;  // whether so many fit into the budget beside the engine
};

// JSON with the fields' own names. Errors of reading (kInput): a missing or wrong field, with `where` in front.
Json MemoryMathToJson(const MemoryMath& math);
MemoryMath MemoryMathFromJson(const Json& json, const std::string& where);

// memory_math.json. Errors: kInput (missing, malformed), kFailed (cannot be written).
MemoryMath ReadMemoryMath(const std::filesystem::path& path);
void WriteMemoryMath(const std::filesystem::path& path, const MemoryMath& math);

}  // namespace qad
