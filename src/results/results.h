// The data model between measuring and judging. evaluate/ and experiment/ fill it; decide/ and report/ read it and
// never a model. Every figure of the pack is a row of results.json, or follows from rows.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace qad {

// One measured figure. Slices are those of the dataset ("behaviour", "facts/stable") or one of the groups below.
// An interval is a confidence interval for quality, the least and largest of the repetitions for speed.
struct Row {
  std::string arm;
  std::string slice;
  std::string metric;
  double value = 0;
  std::optional<double> low, high;
  int64_t n = 0;  // items or repetitions behind it
};

// Groups: rows that do not belong to a slice of items.
inline constexpr std::string_view kSpeedSlice =
    "speed";  // prefill_tokens_per_second, decode_tokens_per_second, ttft_p50 …
inline constexpr std::string_view kMemorySlice =
    "memory";  // weights_bytes, kv_bytes, peak_rss_bytes, each with _predicted
inline constexpr std::string_view kTrainingSlice =
    "training";  // seconds, tokens_per_second, trainable_parameters, peak_rss_bytes
inline constexpr std::string_view kTextSlice = "text";      // perplexity, kl_divergence, same_top1 on general text
inline constexpr std::string_view kParitySlice = "parity";  // kl_divergence, same_top1 … from an adapter as trained
inline constexpr std::string_view kZeroShotSlice = "zero-shot";  // choice, choice:TASK, choice_difference from the base
inline constexpr std::string_view kUpdateSlice = "update";  // seconds_to_update: from a changed fact to answering it
inline constexpr std::string_view kRetrievalSlice = "retrieval";  // recall_at_1, recall_at_3, mrr
inline constexpr std::string_view kQuantizeSlice = "quantize";    // seconds, bytes, nmse:<role> of making an artefact
inline constexpr std::string_view kTokensSlice = "tokens";        // prompt_tokens, output_tokens (means), skipped_items

// How an adapter is served: on the weights it was trained on, in them, on others.
inline constexpr std::string_view kAsTrained = "as trained", kMergedIn = "merged", kOnOthers = "on other weights";

// Whether rows of it belong to no slice of items.
bool IsGroup(std::string_view slice);

// What one arm is. `weights` is a format ("bf16", "int8", "q4_1"); adapter and prompting are empty where there is none.
struct ArmInfo {
  std::string name;  // as configured: "lora-grounded + rag"
  std::string weights;
  std::string made;             // how the weights came about, in words
  std::string adapter;          // name of the adapter, or empty
  std::string prompting;        // "", "few-shot" or "rag"
  std::string artefact;         // path of the model or adapter it needs, for the memo's commands
  std::string command;          // the command that answers a question with this arm
  bool baseline = false;        // a reference without a language model: never recommended
  bool remote = false;          // answers come from an endpoint: its memory is not this machine's
  bool retrained = false;       // its adapter knows the facts as they are after the documents' update
  std::string replica_of = {};  // the arm that differs from it in the seed of its adapter's training alone; empty: none
  std::string deployed = {};    // one of the words below; empty: no adapter
  int moving_parts = 0;         // 0 the base alone; one more for each of: other weights, an adapter, few-shot, an index

  // Whether its adapter is on the weights it was trained on.
  bool IsAsTrained() const { return deployed == kAsTrained; }
  // Whether it may be recommended, and compared as one way to do the job.
  bool IsCandidate() const { return !baseline && replica_of.empty(); }
};

// What one arm made of one item.
struct Sample {
  std::string arm, item, slice;
  std::string cluster;  // items about one fact are resampled together; the item's id where alone
  std::string overlap;  // stratum of lexical overlap with the source, where given
  int64_t prompt_tokens = 0, output_tokens = 0;
  bool truncated = false;  // stopped by max_new_tokens
  double seconds = 0;      // its share of a batch: for orientation, never a speed row
  std::string expected, output;
  std::map<std::string, double> scores;  // metric → 0/1, or a number
  std::vector<std::string> passages;     // ids of retrieved chunks, best first
  std::string citation;                  // the one of them that the answer rests on; empty: none, or not looked for

  // What it is resampled with: all of one fact, else itself.
  const std::string& Cluster() const { return cluster.empty() ? item : cluster; }
};

// What a training was like at each optimizer step, for the learning curves.
struct Curve {
  std::string arm;
  std::vector<double> steps, losses;                           // training loss, mean over supervised tokens
  std::vector<double> tokens_per_second = {}, rss_bytes = {};  // by step; empty in older files
  std::vector<double> validation_steps, validation_losses;
  std::vector<double> validation_scores;  // by what the adapter kept was chosen; empty: by the losses
};

// What files of each size would come to, where types were searched for: estimated KL divergence by size, ascending.
struct Front {
  std::string weights;  // whose search it was: "auto:90MB"
  std::vector<double> bytes, kl;
};

// A form in which an adapter was served otherwise than it was trained, as rows of kParitySlice measure it.
struct Form {
  std::string arm, adapter;
  std::string deployed;  // ArmInfo::deployed
};

// Share of the questions of a slice that was right before the documents' update, of arms that were there then.
inline constexpr const char* kBeforeMetric = "contains_before";

// A comparison declared before the run, or an exploratory one. Difference = better − than, paired by item.
struct Comparison {
  std::string better, than, slice, metric;
  bool declared = false;  // declared ones are corrected together (Holm)
  int64_t n = 0, clusters = 0;
  double difference = 0, low = 0, high = 0;
  double p_value = 1, p_adjusted = 1;  // exact McNemar for yes/no metrics, else the bootstrap's
  double detectable = 0;               // minimum detectable difference at 80% power; declared ones: after correction
  std::optional<double> discordance;   // share of the items that differ; of yes/no metrics
  std::string verdict;                 // "better", "worse", "equivalent", "cannot tell"; exploratory: ""
};

struct Results {
  bool partial = false;            // cut by --max-…-samples
  Json manifest = Json::object();  // versions, machine, hashes, seeds, date, load; keys in docs/results.md
  Json settings = Json::object();  // the checked configuration, for the report
  std::vector<ArmInfo> arms;
  std::vector<Row> rows;
  std::vector<Comparison> comparisons;
  std::vector<Curve> curves;
  std::vector<Front> fronts = {};
  std::vector<Form> forms = {};

  const Row* Find(std::string_view arm, std::string_view slice, std::string_view metric) const;  // null where missing
  std::optional<double> Value(std::string_view arm, std::string_view slice, std::string_view metric) const;
  const ArmInfo* Arm(std::string_view name) const;
  std::vector<std::string> Slices() const;      // slices of items, in order of first appearance; without the groups
  std::vector<std::string> LeafSlices() const;  // those that have none below them
};

// Whether a metric says of an answer that it is right: shares of it may be called so. Likelihoods may not.
bool SaysWhatIsRight(std::string_view metric);

// What the scores of a metric are: 0 or 1; from 0 to 1; or log-probabilities.
enum class ScoreKind : uint8_t { kYesNo, kShare, kNats };
ScoreKind KindOfScore(std::string_view metric);
// "+8.5 points", "−0.120 nats".
std::string FormatDifference(std::string_view metric, double difference);
// "+8.5 points (+1.2 to +15.8)".
std::string FormatDifference(std::string_view metric, double difference, double low, double high);

// The metric a slice is judged by: exact where answers follow a schema, correct_refusal where refusing is right,
// contains where an answer is looked for; else the first metric measured on it.
std::string PrimaryMetric(const Results& results, const std::string& slice);

// results.json. Errors (kInput): missing, malformed, another schema version.
Results ReadResults(const std::filesystem::path& path);
void WriteResults(const std::filesystem::path& path, const Results& results);
Json RowsToJson(const std::vector<Row>& rows);

// samples/<arm>.jsonl, one sample a line.
std::vector<Sample> ReadSamples(const std::filesystem::path& path);
Json SamplesToJson(const std::vector<Sample>& samples);
std::vector<Sample> SamplesFromJson(const JsonObject& json, const std::string& key);
void WriteSamples(const std::filesystem::path& path, const std::vector<Sample>& samples);
// "base + few-shot" → "base+few-shot.jsonl": a file name for an arm.
std::string SamplesFileName(std::string_view arm);

}  // namespace qad
