// config.yaml, read whole and checked strictly: one experiment as plain structs. Every key and default is in
// docs/config.md and examples/.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "adapt/options.h"
#include "decide/options.h"
#include "evaluate/endpoint.h"
#include "evaluate/options.h"
#include "retrieve/options.h"

namespace qad {

struct DataConfig {
  std::filesystem::path train, dev, eval;  // dev: empty where it is a split of train
  std::filesystem::path zero_shot;         // choices that say what a training made the model forget; empty: not asked
  std::vector<std::filesystem::path> documents, documents_update;
  std::string system_prompt;  // prepended to items that have no system message
  int max_length = 1024;      // tokens
};

struct HardwareConfig {
  uint64_t memory = 0;  // bytes; 0: what this machine has
  int threads = 0;      // 0: all cores
  double price_per_hour = 0.10;
  std::string name;
  double gigabytes_per_second = 0, teraflops = 0;  // of its memory, of dense products; 0: as measured
  std::map<std::string, double> machine_prices;    // an hour's, of machines of the memory math's table
};

// One adapter to train: the shared options with its own overrides.
struct AdapterConfig {
  std::string name;
  std::filesystem::path data;  // training set; data.train where not given
  std::string base = "bf16";   // format of the frozen base
  bool after_update = false;   // its data has the facts of documents_update: what a retraining would be
  LoraOptions lora;
  TrainOptions train;
  uint64_t seed = 0;            // of its initial values, order and masks
  std::string replica_of = {};  // the adapter that differs in its seed alone; empty: none
};

enum class Prompting : uint8_t { kZeroShot, kFewShot, kRag };

// A model that is asked over HTTP; prices are for a million tokens.
struct EndpointArm {
  EndpointOptions options;
  std::optional<double> prompt_price, output_price;  // none: the machine's hour pays for it
};

// weights × adapter × prompting, from a short form ("lora-grounded + rag"); or an endpoint × prompting.
struct ArmConfig {
  std::string name;
  std::string weights = "bf16";  // experiment/weights.h: "bf16", "as-stored", "int8", "gptq-4" …
  std::string adapter;           // empty: none
  Prompting prompting = Prompting::kZeroShot;
  std::optional<EndpointArm> endpoint = {};  // then there are no weights and no adapter
  std::string replica_of = {};               // the arm whose adapter was trained with another seed; empty: none
  bool merged = false;                       // the adapter is in the weights
};

// How weights of arms are quantized, where their word leaves it open.
struct QuantizeConfig {
  std::filesystem::path calibration;  // dataset or text; empty: texts that the model itself makes up
  int samples = 64, length = 512;     // of calibration: at most so many, of so many tokens at most
  int group_size = 64;                // −1: a whole row
  bool act_order = true;
  bool error_feedback = true;  // in GGUF files of a given type; else inputs are weighted by importance
};

struct FewShotOptions {
  int examples = 4;
  std::string select = "fixed";  // fixed | similar
};

struct ComparisonConfig {
  std::string better, than, slice, metric;
};

struct Config {
  std::filesystem::path file;  // where it was read from
  std::string model;
  uint64_t seed = 0;
  int seeds = 1;  // with which every adapter that an arm uses is trained: `seed` and those behind it
  std::filesystem::path output = "outputs";
  DataConfig data;
  HardwareConfig hardware;
  std::vector<AdapterConfig> adapters;
  QuantizeConfig quantize;
  std::vector<ArmConfig> arms;
  std::vector<ArmConfig> text_only;  // weights and adapters that are measured on texts alone
  FewShotOptions few_shot;
  RetrieveOptions rag;
  EvalOptions eval;
  std::vector<ComparisonConfig> comparisons;
  DecideOptions decide;
  std::filesystem::path published;  // figures of others, shown beside ours; empty: none

  std::filesystem::path AdapterFolder(const std::string& name) const { return output / (name + "_adapter"); }
};

// Null where there is none of this name.
const AdapterConfig* FindAdapter(const Config& config, const std::string& name);

// Errors (kInput): the file is missing. (kUsage): everything wrong in it at once, "file:line:column: key: message".
// `seeds` in place of the file's, where above 0.
Config LoadConfig(const std::filesystem::path& path, int seeds = 0);

}  // namespace qad
