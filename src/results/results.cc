#include "results/results.h"

#include <algorithm>
#include <array>
#include <limits>

#include "base/error.h"
#include "base/files.h"
#include "base/units.h"
#include "results/slices.h"

namespace qad {
namespace {

bool HasRows(const Results& results, const std::string& slice, std::string_view metric) {
  return std::any_of(results.rows.begin(), results.rows.end(),
                     [&](const Row& row) { return row.slice == slice && row.metric == metric; });
}

constexpr int64_t kSchemaVersion = 2;  // a metric that changes its meaning is a change, too
constexpr double kHuge = std::numeric_limits<double>::max();
constexpr int64_t kMany = std::numeric_limits<int64_t>::max();

double Number(const JsonObject& json, const std::string& key) { return json.Number(key, -kHuge, kHuge); }

const Json& List(const JsonObject& json, const std::string& key) {
  const Json& list = json.At(key);
  if (!list.is_array()) FailInput("{}: \"{}\" must be a list", json.where(), key);
  return list;
}

// Applies `read` to each object of a list; messages name the list and the place in it.
template <typename Read>
auto ReadList(const JsonObject& json, const std::string& key, Read read) {
  std::vector<decltype(read(json))> out;
  const Json& list = List(json, key);
  for (size_t i = 0; i < list.size(); ++i)
    out.push_back(read(JsonObject(list[i], fmt::format("{}: {}[{}]", json.where(), key, i))));
  return out;
}

std::vector<double> ReadNumbers(const JsonObject& json, const std::string& key) {
  std::vector<double> out;
  for (const Json& value : List(json, key)) {
    if (!value.is_number()) FailInput("{}: \"{}\" must hold numbers", json.where(), key);
    out.push_back(value.get<double>());
  }
  return out;
}

Json ToJson(const Row& row) {
  Json json = {{"arm", row.arm}, {"slice", row.slice}, {"metric", row.metric}, {"value", row.value}, {"n", row.n}};
  if (row.low) json["low"] = *row.low;
  if (row.high) json["high"] = *row.high;
  return json;
}

Row ReadRow(const JsonObject& json) {
  Row row;
  row.arm = json.String("arm");
  row.slice = json.String("slice");
  row.metric = json.String("metric");
  row.value = Number(json, "value");
  if (json.Has("low")) row.low = Number(json, "low");
  if (json.Has("high")) row.high = Number(json, "high");
  row.n = json.Int("n", 0, kMany);
  return row;
}

Json ToJson(const ArmInfo& arm) {
  return {{"name", arm.name},
          {"weights", arm.weights},
          {"made", arm.made},
          {"adapter", arm.adapter},
          {"prompting", arm.prompting},
          {"artefact", arm.artefact},
          {"command", arm.command},
          {"baseline", arm.baseline},
          {"remote", arm.remote},
          {"retrained", arm.retrained},
          {"replica_of", arm.replica_of},
          {"deployed", arm.deployed},
          {"moving_parts", arm.moving_parts}};
}

ArmInfo ReadArm(const JsonObject& json) {
  const bool adapted = !json.String("adapter").empty();  // once no adapter was served but as trained
  return {.name = json.String("name"),
          .weights = json.String("weights"),
          .made = json.StringOr("made", ""),
          .adapter = json.String("adapter"),
          .prompting = json.String("prompting"),
          .artefact = json.String("artefact"),
          .command = json.String("command"),
          .baseline = json.BoolOr("baseline", false),
          .remote = json.BoolOr("remote", false),
          .retrained = json.BoolOr("retrained", false),
          .replica_of = json.StringOr("replica_of", ""),
          .deployed = json.StringOr("deployed", adapted ? std::string(kAsTrained) : ""),
          .moving_parts = static_cast<int>(json.Int("moving_parts", 0, 100))};
}

Json ToJson(const Curve& curve) {
  return {{"arm", curve.arm},
          {"steps", curve.steps},
          {"losses", curve.losses},
          {"tokens_per_second", curve.tokens_per_second},
          {"rss_bytes", curve.rss_bytes},
          {"validation_steps", curve.validation_steps},
          {"validation_losses", curve.validation_losses},
          {"validation_scores", curve.validation_scores}};
}

Curve ReadCurve(const JsonObject& json) {
  Curve curve{.arm = json.String("arm"),
              .steps = ReadNumbers(json, "steps"),
              .losses = ReadNumbers(json, "losses"),
              .tokens_per_second =
                  json.Has("tokens_per_second") ? ReadNumbers(json, "tokens_per_second") : std::vector<double>(),
              .rss_bytes = json.Has("rss_bytes") ? ReadNumbers(json, "rss_bytes") : std::vector<double>(),
              .validation_steps = ReadNumbers(json, "validation_steps"),
              .validation_losses = ReadNumbers(json, "validation_losses"),
              .validation_scores = ReadNumbers(json, "validation_scores")};
  const auto fits = [&](const std::vector<double>& values) {
    return values.empty() || values.size() == curve.steps.size();
  };
  if (curve.steps.size() != curve.losses.size() || !fits(curve.tokens_per_second) || !fits(curve.rss_bytes) ||
      curve.validation_steps.size() != curve.validation_losses.size() ||
      (!curve.validation_scores.empty() && curve.validation_scores.size() != curve.validation_steps.size()))
    FailInput("{}: steps and losses differ in length", json.where());
  return curve;
}

Json ToJson(const Front& front) { return {{"weights", front.weights}, {"bytes", front.bytes}, {"kl", front.kl}}; }

Front ReadFront(const JsonObject& json) {
  Front front{.weights = json.String("weights"), .bytes = ReadNumbers(json, "bytes"), .kl = ReadNumbers(json, "kl")};
  if (front.bytes.size() != front.kl.size()) FailInput("{}: bytes and kl differ in length", json.where());
  return front;
}

Json ToJson(const Form& form) { return {{"arm", form.arm}, {"adapter", form.adapter}, {"deployed", form.deployed}}; }

Form ReadForm(const JsonObject& json) {
  return {.arm = json.String("arm"), .adapter = json.String("adapter"), .deployed = json.String("deployed")};
}

Json ToJson(const Comparison& c) {
  Json json = {{"better", c.better},
               {"than", c.than},
               {"slice", c.slice},
               {"metric", c.metric},
               {"declared", c.declared},
               {"n", c.n},
               {"clusters", c.clusters},
               {"difference", c.difference},
               {"low", c.low},
               {"high", c.high},
               {"p_value", c.p_value},
               {"p_adjusted", c.p_adjusted},
               {"detectable", c.detectable},
               {"verdict", c.verdict}};
  if (c.discordance) json["discordance"] = *c.discordance;
  return json;
}

Comparison ReadComparison(const JsonObject& json) {
  return {.better = json.String("better"),
          .than = json.String("than"),
          .slice = json.String("slice"),
          .metric = json.String("metric"),
          .declared = json.BoolOr("declared", false),
          .n = json.Int("n", 0, kMany),
          .clusters = json.Int("clusters", 0, kMany),
          .difference = Number(json, "difference"),
          .low = Number(json, "low"),
          .high = Number(json, "high"),
          .p_value = json.Number("p_value", 0, 1),
          .p_adjusted = json.Number("p_adjusted", 0, 1),
          .detectable = Number(json, "detectable"),
          .discordance = json.Has("discordance") ? std::optional(Number(json, "discordance")) : std::nullopt,
          .verdict = json.String("verdict")};
}

template <typename T>
Json ListToJson(const std::vector<T>& list) {
  Json json = Json::array();
  for (const T& entry : list) json.push_back(ToJson(entry));
  return json;
}

Json ToJson(const Sample& sample) {
  return {{"arm", sample.arm},
          {"item", sample.item},
          {"slice", sample.slice},
          {"cluster", sample.cluster},
          {"overlap", sample.overlap},
          {"prompt_tokens", sample.prompt_tokens},
          {"output_tokens", sample.output_tokens},
          {"truncated", sample.truncated},
          {"seconds", sample.seconds},
          {"expected", sample.expected},
          {"output", sample.output},
          {"scores", sample.scores},
          {"passages", sample.passages},
          {"citation", sample.citation}};
}

Sample ReadSample(const JsonObject& json) {
  Sample sample;
  sample.arm = json.String("arm");
  sample.item = json.String("item");
  sample.slice = json.String("slice");
  sample.cluster = json.String("cluster");
  sample.overlap = json.String("overlap");
  sample.prompt_tokens = json.Int("prompt_tokens", 0, kMany);
  sample.output_tokens = json.Int("output_tokens", 0, kMany);
  sample.truncated = json.BoolOr("truncated", false);
  sample.seconds = json.Number("seconds", 0, kHuge);
  sample.expected = json.String("expected");
  sample.output = json.String("output");
  const JsonObject scores = json.Object("scores");
  for (const auto& [metric, score] : scores.json().items()) sample.scores[metric] = Number(scores, metric);
  for (const Json& id : List(json, "passages")) {
    if (!id.is_string()) FailInput("{}: \"passages\" must hold strings", json.where());
    sample.passages.push_back(id.get<std::string>());
  }
  sample.citation = json.StringOr("citation", "");
  return sample;
}

}  // namespace

bool IsGroup(std::string_view slice) {
  static constexpr std::array kGroups = {kSpeedSlice,    kMemorySlice, kTrainingSlice,  kTextSlice,     kParitySlice,
                                         kZeroShotSlice, kUpdateSlice, kRetrievalSlice, kQuantizeSlice, kTokensSlice};
  return std::find(kGroups.begin(), kGroups.end(), slice) != kGroups.end();
}

bool SaysWhatIsRight(std::string_view metric) {
  return metric == "exact" || metric == "contains" || metric == "correct_refusal" || metric == "choice";
}

ScoreKind KindOfScore(std::string_view metric) {
  if (metric == "answer_log_likelihood") return ScoreKind::kNats;
  return metric == "token_f1" || metric == "rouge_l" ? ScoreKind::kShare : ScoreKind::kYesNo;
}

namespace {

// Without its unit.
std::string SignedDifference(std::string_view metric, double difference) {
  if (KindOfScore(metric) != ScoreKind::kNats) return FormatPoints(difference);
  return fmt::format("{}{}", difference > 0 ? "+" : "", FormatNumber(difference));
}

}  // namespace

std::string FormatDifference(std::string_view metric, double difference) {
  return fmt::format("{} {}", SignedDifference(metric, difference),
                     KindOfScore(metric) == ScoreKind::kNats ? "nats" : "points");
}

std::string FormatDifference(std::string_view metric, double difference, double low, double high) {
  return fmt::format("{} ({} to {})", FormatDifference(metric, difference), SignedDifference(metric, low),
                     SignedDifference(metric, high));
}

std::string PrimaryMetric(const Results& results, const std::string& slice) {
  if (HasRows(results, slice, "schema_valid") && HasRows(results, slice, "exact")) return "exact";
  const bool refusals = HasRows(results, slice, "correct_refusal");
  if (refusals && (slice.starts_with("unanswerable") || !HasRows(results, slice, "contains"))) return "correct_refusal";
  for (const char* metric : {"choice", "contains", "exact"})
    if (HasRows(results, slice, metric)) return metric;
  for (const Row& row : results.rows)
    if (row.slice == slice) return row.metric;
  return "contains";
}

const Row* Results::Find(std::string_view arm, std::string_view slice, std::string_view metric) const {
  const auto found = std::find_if(rows.begin(), rows.end(), [&](const Row& row) {
    return row.arm == arm && row.slice == slice && row.metric == metric;
  });
  return found == rows.end() ? nullptr : &*found;
}

std::optional<double> Results::Value(std::string_view arm, std::string_view slice, std::string_view metric) const {
  const Row* row = Find(arm, slice, metric);
  return row == nullptr ? std::nullopt : std::optional<double>(row->value);
}

const ArmInfo* Results::Arm(std::string_view name) const {
  const auto found = std::find_if(arms.begin(), arms.end(), [&](const ArmInfo& arm) { return arm.name == name; });
  return found == arms.end() ? nullptr : &*found;
}

std::vector<std::string> Results::Slices() const {
  std::vector<std::string> slices;
  for (const Row& row : rows)
    if (!IsGroup(row.slice) && std::find(slices.begin(), slices.end(), row.slice) == slices.end())
      slices.push_back(row.slice);
  return slices;
}

std::vector<std::string> Results::LeafSlices() const {
  std::vector<std::string> leaves;
  const std::vector<std::string> slices = Slices();
  std::ranges::copy_if(slices, std::back_inserter(leaves), [&](const auto& slice) { return !IsUnion(slices, slice); });
  return leaves;
}

Json RowsToJson(const std::vector<Row>& rows) { return ListToJson(rows); }

Results ReadResults(const std::filesystem::path& path) {
  const Json root = ReadJsonFile(path);
  const JsonObject json(root, path.string());
  if (!json.Has("schema_version"))
    FailInput("{}: no \"schema_version\"; is this a results.json of qad?", path.string());
  if (const int64_t version = json.Int("schema_version", 0, kMany); version != kSchemaVersion)
    FailInput("{}: schema version {}, this qad reads {}; run `qad run` again", path.string(), version, kSchemaVersion);
  return {.partial = json.BoolOr("partial", false),
          .manifest = json.Object("manifest").json(),
          .settings = json.Object("settings").json(),
          .arms = ReadList(json, "arms", ReadArm),
          .rows = ReadList(json, "rows", ReadRow),
          .comparisons = ReadList(json, "comparisons", ReadComparison),
          .curves = ReadList(json, "curves", ReadCurve),
          .fronts = json.Has("fronts") ? ReadList(json, "fronts", ReadFront) : std::vector<Front>(),
          .forms = json.Has("forms") ? ReadList(json, "forms", ReadForm) : std::vector<Form>()};
}

void WriteResults(const std::filesystem::path& path, const Results& results) {
  const Json json = {{"schema_version", kSchemaVersion},
                     {"partial", results.partial},
                     {"manifest", results.manifest},
                     {"settings", results.settings},
                     {"arms", ListToJson(results.arms)},
                     {"rows", ListToJson(results.rows)},
                     {"comparisons", ListToJson(results.comparisons)},
                     {"curves", ListToJson(results.curves)},
                     {"fronts", ListToJson(results.fronts)},
                     {"forms", ListToJson(results.forms)}};
  WriteFileAtomic(path, DumpJson(json, 1));
}

std::vector<Sample> ReadSamples(const std::filesystem::path& path) {
  const std::string text = ReadTextFile(path);
  std::vector<Sample> samples;
  int line = 0;
  for (const std::string_view sample : SplitLines(text)) {
    const std::string where = fmt::format("{}:{}", path.string(), ++line);
    const Json root = ParseJson(sample, where);
    samples.push_back(ReadSample(JsonObject(root, where)));
  }
  return samples;
}

Json SamplesToJson(const std::vector<Sample>& samples) {
  Json list = Json::array();
  for (const Sample& sample : samples) list.push_back(ToJson(sample));
  return list;
}

std::vector<Sample> SamplesFromJson(const JsonObject& json, const std::string& key) {
  return ReadList(json, key, ReadSample);
}

void WriteSamples(const std::filesystem::path& path, const std::vector<Sample>& samples) {
  AtomicFile file(path);
  for (const Sample& sample : samples) file.Write(DumpJson(ToJson(sample), -1));
  file.Commit();
}

std::string SamplesFileName(std::string_view arm) {
  std::string name;
  for (size_t i = 0; i < arm.size(); ++i) {
    if (arm.substr(i, 3) == " + ") {
      name += '+';
      i += 2;
    } else {
      const auto c = static_cast<unsigned char>(arm[i]);
      const bool plain = std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.' || c == '+';
      name += plain ? arm[i] : '-';
    }
  }
  return name + ".jsonl";
}

}  // namespace qad
