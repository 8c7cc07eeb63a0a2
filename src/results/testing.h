// A made-up evidence pack with known winners, for tests only: of the size and shape of examples/helpdesk, every sample
// drawn from a stated rate, rows and comparisons computed from the samples as a real run does.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/random.h"
#include "results/memory_math.h"
#include "results/results.h"
#include "results/statistics.h"

namespace qad {

struct SyntheticArm {
  std::string name, weights, adapter, prompting;
  int moving_parts = 0;
  double behaviour = 0, stable = 0, changed = 0, near_miss = 0, off_topic = 0;  // rates of success
  double latency = 0;                                                           // seconds, p50
  double weights_mib = 0, peak_mib = 0, decode = 0, prefill = 0;
};

struct SyntheticPack {
  Results results;
  std::vector<Sample> samples;
  MemoryMath memory;
};

inline const std::vector<SyntheticArm>& SyntheticArms() {
  static const std::vector<SyntheticArm> arms = {
      {"base", "bf16", "", "", 0, 0.02, 0.05, 0.02, 0.10, 0.20, 0.45, 256.6, 412, 101, 1450},
      {"base + few-shot", "bf16", "", "few-shot", 1, 0.35, 0.05, 0.02, 0.15, 0.30, 0.92, 256.6, 430, 99, 1440},
      {"base + rag", "bf16", "", "rag", 1, 0.05, 0.72, 0.75, 0.45, 0.90, 0.95, 256.6, 441, 98, 1445},
      {"int8", "int8", "", "", 1, 0.02, 0.05, 0.02, 0.10, 0.20, 0.29, 129.4, 285, 176, 2100},
      {"lora", "bf16", "lora", "", 1, 0.88, 0.42, 0.00, 0.30, 0.85, 0.47, 256.6, 428, 98, 1400},
      {"lora + rag", "bf16", "lora", "rag", 2, 0.86, 0.55, 0.12, 0.40, 0.85, 0.99, 256.6, 452, 96, 1390},
      {"lora-grounded + rag", "bf16", "lora-grounded", "rag", 2, 0.87, 0.84, 0.86, 0.55, 0.95, 0.98, 256.6, 452, 96,
       1390}};
  return arms;
}

class SyntheticMaker {
 public:
  SyntheticPack Make() {
    for (const SyntheticArm& arm : SyntheticArms()) AddArm(arm);
    AddBaseline();
    Results& results = pack_.results;
    std::vector<Row> quality = SummarizeSamples(pack_.samples, 0.95, 500, 1);
    results.rows.insert(results.rows.begin(), quality.begin(), quality.end());
    AddComparisons();
    AddManifest();
    AddCurves();
    AddForms();
    AddMemory();
    return pack_;
  }

 private:
  void Add(const std::string& arm, std::string_view slice, const std::string& metric, double value, int64_t n = 1,
           double spread = 0) {
    Row row;
    row.arm = arm;
    row.slice = slice;
    row.metric = metric;
    row.value = value;
    row.n = n;
    if (spread > 0) {
      row.low = value * (1 - spread);
      row.high = value * (1 + spread);
    }
    pack_.results.rows.push_back(row);
  }

  void AddArm(const SyntheticArm& arm) {
    ArmInfo info;
    info.name = arm.name;
    info.weights = arm.weights;
    info.made = arm.weights == "int8" ? "rounded to nearest, one scale for each output" : "as it came, in bf16";
    info.adapter = arm.adapter;
    info.prompting = arm.prompting;
    if (!arm.adapter.empty()) info.deployed = kAsTrained;
    info.moving_parts = arm.moving_parts;
    info.artefact = arm.adapter.empty() ? "models/smollm2-135m-instruct" : "outputs/" + arm.adapter + "_adapter";
    info.command = "qad ask --config config.yaml --arm '" + arm.name + "' 'How long is the warranty?'";
    pack_.results.arms.push_back(info);
    AddSamples(arm, "behaviour", 120, 1, "exact", arm.behaviour);
    AddSamples(arm, "facts/stable", 40, 2, "contains", arm.stable);
    AddSamples(arm, "facts/changed", 40, 2, "contains", arm.changed);
    AddSamples(arm, "unanswerable/near-miss", 40, 1, "correct_refusal", arm.near_miss);
    AddSamples(arm, "unanswerable/off-topic", 40, 1, "correct_refusal", arm.off_topic);
    AddFigures(arm);
  }

  void AddSamples(const SyntheticArm& arm, const std::string& slice, int items, int cluster_size,
                  const std::string& metric, double rate) {
    for (int i = 0; i < items; ++i) {
      Sample sample;
      sample.arm = arm.name;
      sample.slice = slice;
      sample.item = slice + "-" + std::to_string(i + 1);
      sample.cluster = slice + "-fact-" + std::to_string(i / cluster_size + 1);
      // One draw per item for all arms: what is hard for one is hard for the others.
      uint64_t stream = 0;
      for (const char letter : slice) stream = MixBits(stream ^ static_cast<uint64_t>(letter));
      const double hardness = 0.7 * RandomUniform(7, stream, i) + 0.3 * RandomUniform(8, stream + arm.name.size(), i);
      const bool right = hardness < 0.15 + 0.7 * rate - (rate < 0.03 ? 0.2 : 0);
      sample.scores[metric] = right;
      if (metric == "exact") sample.scores["schema_valid"] = right || hardness < 0.5 + 0.5 * rate;
      sample.expected = metric == "exact" ? R"({"category": "billing", "priority": "high"})" : "24 months";
      sample.output = right               ? sample.expected
                      : metric == "exact" ? R"({"category": "billing", "priority": "low"})"
                                          : "The <b>warranty</b> is 12 months | ask `support`.";
      if (metric == "contains") sample.overlap = i % 3 == 0 ? "low" : "high";
      sample.prompt_tokens = arm.prompting == "rag" ? 480 : arm.prompting == "few-shot" ? 501 : 96;
      sample.output_tokens = 14;
      sample.truncated = i % 37 == 5;
      if (arm.prompting == "rag") {
        sample.passages = {"handbook-v2/warranty.md#2", "handbook-v2/returns.md#1"};
        if (metric == "contains") AddCitation(sample, i);
      }
      pack_.samples.push_back(sample);
    }
  }

  // The right passage is in the prompt of four items in five; most right answers and half of the others cite it.
  static void AddCitation(Sample& sample, int i) {
    if (i % 5 != 2) sample.scores["citation"] = sample.scores["contains"] == 1 ? i % 8 != 0 : i % 2 == 0;
  }

  // Rows of retrieval whose items are those of the samples: right ones among those with the right passage.
  void AddRetrieval(const std::string& arm) {
    double n = 0, right = 0;
    for (const Sample& sample : pack_.samples) {
      if (sample.arm != arm || !sample.scores.contains("citation")) continue;
      n += 1;
      right += sample.scores.at("contains");
    }
    Add(arm, kRetrievalSlice, "recall_at_1", 0.60, 80);
    Add(arm, kRetrievalSlice, "recall_at_3", 0.80, 80);
    Add(arm, kRetrievalSlice, "mrr", 0.71, 80);
    Add(arm, kRetrievalSlice, "right_given_passage", right / n, static_cast<int64_t>(n), 0.1);
  }

  void AddFigures(const SyntheticArm& arm) {
    constexpr double kMiB = 1 << 20;
    Add(arm.name, kSpeedSlice, "prefill_tokens_per_second", arm.prefill, 5, 0.03);
    Add(arm.name, kSpeedSlice, "decode_tokens_per_second", arm.decode, 5, 0.02);
    Add(arm.name, kSpeedSlice, "ttft_p50", arm.latency * 0.3, 5, 0.05);
    Add(arm.name, kSpeedSlice, "ttft_p95", arm.latency * 0.4, 5, 0.08);
    Add(arm.name, kSpeedSlice, "latency_p50", arm.latency, 5, 0.04);
    Add(arm.name, kSpeedSlice, "latency_p95", arm.latency * 1.6, 5, 0.06);
    Add(arm.name, kMemorySlice, "disk_bytes", arm.weights_mib * kMiB);
    Add(arm.name, kMemorySlice, "weights_bytes", arm.weights_mib * kMiB);
    Add(arm.name, kMemorySlice, "weights_bytes_predicted", arm.weights_mib * kMiB);
    Add(arm.name, kMemorySlice, "kv_bytes", 45 * kMiB);
    Add(arm.name, kMemorySlice, "kv_bytes_predicted", 45 * kMiB);
    Add(arm.name, kMemorySlice, "peak_rss_bytes", arm.peak_mib * kMiB);
    Add(arm.name, kMemorySlice, "peak_rss_bytes_predicted", arm.peak_mib * kMiB * 0.98);
    if (arm.name == "int8") {
      Add(arm.name, kTextSlice, "kl_divergence", 0.0021, 4096, 0.1);
      Add(arm.name, kTextSlice, "same_top1", 0.972, 4096, 0.005);
    }
    if (arm.name == "base") {
      Add(arm.name, kTextSlice, "perplexity", 18.01, 4096, 0.02);
      Add(arm.name, kTextSlice, "kl_divergence", 0, 4096);
      Add(arm.name, kTextSlice, "same_top1", 1, 4096);
    }
    if (arm.name == "lora" || arm.name == "lora-grounded + rag") {
      Add(arm.name, kTrainingSlice, "seconds", 96);
      Add(arm.name, kTrainingSlice, "tokens_per_second", 655);
      Add(arm.name, kTrainingSlice, "trainable_parameters", 2'442'240);
      Add(arm.name, kTrainingSlice, "peak_rss_bytes", 810 * kMiB);
      Add(arm.name, kTrainingSlice, "final_loss", 0.21);
      Add(arm.name, kTrainingSlice, "validation_loss", 0.34);
    }
    if (arm.name == "lora") Add(arm.name, kUpdateSlice, "seconds_to_update", 210);
    if (arm.name == "base + rag") Add(arm.name, kUpdateSlice, "seconds_to_update", 0.05);
    if (arm.prompting == "rag") AddRetrieval(arm.name);
  }

  void AddBaseline() {
    ArmInfo info;
    info.name = "majority class";
    info.baseline = true;
    pack_.results.arms.push_back(info);
    Add(info.name, "behaviour", "exact", 0.08, 120);
  }

  void AddComparisons() {
    std::map<std::string, std::vector<Sample>> of;
    for (const Sample& sample : pack_.samples) of[sample.arm].push_back(sample);
    const auto compare = [&](const char* better, const char* than, const char* slice, const char* metric,
                             bool declared) {
      pack_.results.comparisons.push_back(ComparePaired(of[better], of[than], slice, metric, {}));
      pack_.results.comparisons.back().declared = declared;
    };
    compare("lora", "base + few-shot", "behaviour", "exact", true);
    compare("base + rag", "lora", "facts/changed", "contains", true);
    compare("lora-grounded + rag", "base + rag", "facts/stable", "contains", true);
    compare("lora + rag", "base + rag", "facts/changed", "contains", false);
    CorrectDeclared(pack_.results.comparisons, {});
  }

  void AddManifest() {
    pack_.results.manifest = {
        {"versions", {{"qad", "0.1.0"}}},
        {"config", {{"path", "examples/helpdesk/config.yaml"}}},
        {"date", "2026-01-05T10:00:00Z"},
        {"seed", 0},
        {"rounds", 5},
        {"model",
         {{"name", "SmolLM2-135M-Instruct"},
          {"parameters", 134'515'008},
          {"stored_format", "q4_1"},
          {"sha256", "5a1d…"}}},
        {"machine", {{"cpu", "AMD EPYC (Zen 4)"}, {"cores", 2}, {"threads", 2}, {"memory_bytes", uint64_t{16} << 30}}},
        {"load", {{"before", 0.12}, {"after", 0.31}}},
        {"data", {{"eval", {{"path", "data/eval.jsonl"}, {"items", 280}, {"sha256", "77c0…"}}}}}};
    pack_.results.settings = {{"decide", {{"queries_per_month", 30000}}}};
  }

  void AddCurves() {
    Curve curve;
    curve.arm = "lora";
    for (int step = 1; step <= 66; ++step) {
      curve.steps.push_back(step);
      curve.losses.push_back(0.2 + 2.4 * std::exp(-step / 12.0) + 0.05 * std::sin(step));
      if (step % 11 == 0) {
        curve.validation_steps.push_back(step);
        curve.validation_losses.push_back(0.33 + 2.0 * std::exp(-step / 12.0));
        curve.validation_scores.push_back(0.9 - std::exp(-step / 12.0));
      }
      curve.tokens_per_second.push_back(650 + 40 * std::sin(step));
      curve.rss_bytes.push_back(800.0 * (1 << 20));
    }
    pack_.results.curves.push_back(curve);
  }

  // What became of the adapter in other forms, and of what it is not trained on.
  void AddForms() {
    for (const auto& [name, kl] : {std::pair("lora merged", 0.0002), std::pair("lora merged gptq-4", 0.06)}) {
      pack_.results.forms.push_back({name, "lora", std::string(kMergedIn)});
      Add(name, kParitySlice, "kl_divergence", kl, 280, 0.2);
      Add(name, kParitySlice, "same_top1", 1 - kl, 280, 0.01);
      Add(name, kParitySlice, "log_likelihood_lost", 2 * kl, 280, 0.5);
      Add(name, kParitySlice, "resident_bytes", (kl < 0.01 ? 256.6 : 110.0) * (1 << 20));
    }
    Add("lora", kTextSlice, "perplexity_ratio", 1.08, 4096, 0.02);
    for (const auto& [name, share] : {std::pair("base", 0.7), std::pair("lora", 0.65)}) {
      Add(name, kZeroShotSlice, "choice", share, 240, 0.1);
      Add(name, kZeroShotSlice, "choice:capitals", share - 0.1, 40, 0.3);
    }
    Add("lora", kZeroShotSlice, "choice_difference", -0.05, 240);
  }

  void AddMemory() {
    MemoryMath& memory = pack_.memory;
    constexpr uint64_t kMiB = 1 << 20;
    memory.title = "SmolLM2-135M-Instruct";
    memory.hardware = "16 GiB for weights, cache and workspace together; 2 cores";
    memory.parameters = 134'515'008;
    memory.max_positions = 2048;
    memory.fits = {{uint64_t{16} << 30, "bf16", "f16", 1, 2048, true, 340},
                   {uint64_t{16} << 30, "int8", "f16", 1, 2048, true, 345},
                   {256 * kMiB, "bf16", "f16", 1, 0, false, 0},
                   {256 * kMiB, "int8", "f16", 1, 1610, false, 1}};
    const auto weights = [&](const char* format, bool stored, double bytes_per_weight, const char* formula) {
      WeightsMath math;
      math.format = format;
      math.stored = stored;
      math.formula = formula;
      const auto part = [&](const char* name, double parameters, const std::string& text) {
        math.parts.push_back({name, text, static_cast<uint64_t>(parameters * bytes_per_weight)});
        math.bytes += math.parts.back().bytes;
      };
      part("embedding (tied with the head)", 28'311'552, "49,152 × 576");
      part("attention", 26'542'080, "30 × (2·576·576 + 2·192·576)");
      part("mlp", 79'626'240, "30 × 3·1,536·576");
      part("norms", 35'136, "61 × 576");
      memory.weights.push_back(math);
    };
    weights("fp16", false, 2, "134,515,008 × 2 B");
    weights("int8", false, 1.0035, "134,515,008 × 1 B + one f16 scale per output channel");
    weights("int4", false, 0.5625, "134,515,008 × 4.5 bits (blocks of 32 with one f16 scale)");
    weights("q4_1", true, 0.625, "134,515,008 × 5 bits (blocks of 32 with f16 scale and minimum)");
    memory.kv = {
        30, 9,    3,   64, "2 (K and V) × 30 layers × 3 KV heads × 64 × 2 B", "f16", 23'040, 69'120, 0, 0, {}, 2048,
        8,  1024, 256, {}};
    memory.kv.allotments = {{"the tokens alone", "8 × 1,024 tokens", 188'743'680},
                            {"contiguous", "8 × 2,048 tokens", 377'487'360}};
    memory.machines = {{"RTX 4090", "NVIDIA", 25'757'220'864, "fits", "q4_1", "f16", 2048, true, 120, 9'876, 776'000,
                        0.36, 0.0101, 0.000129},
                       {"abacus", "", 1'000, "does not fit", "", "", 0, false, 0, 0, 0, 0, 0, 0}};
    memory.budget = 16 * 1024 * kMiB;
    memory.engine = {{"program", "measured", 20 * kMiB}};
    memory.training_points = {{"LoRA", 512, 1, 8, false, 728'105'856},
                              {"LoRA", 512, 1, 8, true, 528'105'856},
                              {"LoRA", 2048, 4, 8, false, 20'000'000'000},
                              {"LoRA", 2048, 4, 8, true, 9'000'000'000}};
    memory.training_fits = {{"LoRA", 8, false, 6'000}, {"LoRA", 64, false, 0}};
    memory.case_context = 1024;
    memory.case_batch = 1;
    for (const char* type : {"f16", "f32"})
      for (const int64_t batch : {1, 8})
        for (const int64_t context : {512, 1024, 2048})
          memory.kv.points.push_back(
              {type, context, batch, static_cast<uint64_t>(context * batch * 23'040 * (type[1] == '3' ? 2 : 1))});
    memory.workspace_bytes = 21 * kMiB;
    memory.training = {{"LoRA",
                        "r=8 on all linear layers, 2,048 packed tokens, AdamW in f32",
                        {{"base weights (bf16)", "134,515,008 × 2 B", 269'030'016},
                         {"adapter", "2,442,240 × 4 B", 9'768'960},
                         {"gradients", "2,442,240 × 4 B", 9'768'960},
                         {"optimizer", "2 × 2,442,240 × 4 B", 19'537'920},
                         {"activations", "2,048 tokens × 30 layers × …", 420'000'000}},
                        728'105'856},
                       {"QLoRA",
                        "as LoRA on an nf4 base",
                        {{"base weights (nf4)", "134,515,008 × 4.127 bits", 69'400'000},
                         {"adapter", "2,442,240 × 4 B", 9'768'960},
                         {"gradients", "2,442,240 × 4 B", 9'768'960},
                         {"optimizer", "2 × 2,442,240 × 4 B", 19'537'920},
                         {"activations", "2,048 tokens × 30 layers × …", 420'000'000}},
                        528'475'840}};
    memory.checks = {{"weights, bf16", 269'030'016, 269'030'016, 0},
                     {"weights, int8", 134'985'810, 135'266'304, 0},
                     {"KV cache, context 2,048, batch 1", 47'185'920, 47'185'920, 0},
                     {"peak RSS, LoRA training", 780'000'000, 849'346'560, 74'467'328}};
    memory.notes = {
        "GiB and MiB are powers of 1,024; file sizes of sellers are often powers of 1,000.",
        "Peak RSS counts what the process touched: the allocator's slack and mapped file pages belong to it."};
  }

  SyntheticPack pack_;
};

inline SyntheticPack MakeSyntheticPack() { return SyntheticMaker().Make(); }

}  // namespace qad
