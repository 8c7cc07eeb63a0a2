// qad bench MODEL: prefill and decode speed, with the fields of llama-bench.
#include <fmt/format.h>

#include <memory>
#include <numeric>

#include "adapt/adapter_set.h"
#include "base/clock.h"
#include "base/process.h"
#include "commands/command.h"
#include "evaluate/speed.h"
#include "evaluate/text_embedder.h"
#include "io/model_files.h"
#include "model/load.h"
#include "ops/ceilings.h"
#include "retrieve/options.h"

namespace qad {
namespace {

struct Options {
  std::string model, format = "as-stored", kv_type = "f16", index;
  std::vector<std::string> adapters;
  RetrieveOptions retrieve;
  BenchOptions bench;
  bool exact = false, profile = false, ceilings = true;
};

// 0 where no ceiling was measured.
double Share(double achieved, double ceiling) { return ceiling > 0 ? achieved / ceiling : 0; }

std::string RowName(const BenchRow& row) {
  return row.n_prompt > 0  ? fmt::format("prefill {}", row.n_prompt)
         : row.n_depth > 0 ? fmt::format("decode {} @ {}", row.n_gen, row.n_depth)
                           : fmt::format("decode {}", row.n_gen);
}

void PrintProfile(const BenchRow& row) {
  const double wall = 1e-9 * std::accumulate(row.samples_ns.begin(), row.samples_ns.end(), 0.0);
  double other = wall;
  const auto print = [&](std::string_view name, double seconds) {
    fmt::print(stderr, "  {:<11} {:8.3f} s  {:5.1f} %\n", name, seconds, 100 * seconds / wall);
  };
  fmt::print(stderr, "{}: time per operation, all repetitions (head and loss include their norm and product)\n",
             RowName(row));
  for (size_t i = 0; i < row.operations.size(); ++i) {
    print(TimedName(static_cast<Timed>(i)), row.operations[i]);
    other -= row.operations[i];
  }
  print("other", other);
}

// What the row's products are measured against.
double CeilingOf(const BenchRow& row, const Ceilings& ceilings) {
  return ceilings.gigaflops[static_cast<size_t>(row.products)];
}
const char* NameOf(Products products) { return kProductsNames[static_cast<size_t>(products)]; }

Json RowJson(const BenchRow& row, const Options& options, const Context& context, const Model& model,
             const Ceilings& ceilings) {
  return {{"build_version", QAD_VERSION},
          {"cpu_info", CpuName()},
          {"model", options.model},
          {"model_filename", ResolveModel(options.model).string()},
          {"model_type", model.config().family->name},
          {"format", options.format},
          {"model_size", model.weights().plan().stored_bytes()},
          {"model_n_params", model.weights().plan().parameters()},
          {"weights_bytes", model.weights().allocated_bytes()},
          {"n_threads", context.threads},
          {"n_prompt", row.n_prompt},
          {"n_gen", row.n_gen},
          {"n_batch", row.n_batch},
          {"n_depth", row.n_depth},
          {"kv_type", GetFormat(options.bench.kv_type).name},
          {"type_k", GetFormat(options.bench.kv_type).name},
          {"type_v", GetFormat(options.bench.kv_type).name},
          {"test_time", UtcNow()},
          {"avg_ns", row.avg_ns},
          {"stddev_ns", row.stddev_ns},
          {"avg_ts", row.avg_ts},
          {"stddev_ts", row.stddev_ts},
          {"median_ts", row.median_ts},
          {"samples_ns", row.samples_ns},
          {"samples_ts", row.samples_ts},
          {"gigabytes_per_second", row.gigabytes_per_second},
          {"gigaflops", row.gigaflops},
          {"ceiling_gigabytes_per_second", ceilings.gigabytes_per_second},
          {"ceiling_gigaflops", CeilingOf(row, ceilings)},
          {"ceiling_products", NameOf(row.products)},
          {"share_of_reading", Share(row.gigabytes_per_second, ceilings.gigabytes_per_second)},
          {"share_of_products", Share(row.gigaflops, CeilingOf(row, ceilings))}};
}

Ceilings CeilingsOf(const Options& options, Context& context, const Model& model) {
  return options.ceilings ? MeasureCeilings(context, model.weights().allocated_bytes()) : Ceilings();
}

// An index that lies in memory beside the model, as it does where passages are looked up.
struct Searched {
  std::unique_ptr<TextEmbedder> embedder;
  std::unique_ptr<Index> index;
  size_t bytes() const {
    return (embedder == nullptr ? 0 : embedder->bytes()) + (index == nullptr ? 0 : index->vector_bytes());
  }
};

Searched Search(const Options& options, int threads) {
  Searched searched;
  if (options.index.empty()) return searched;
  const Retriever retriever = RetrieverOf(options.retrieve.retriever);
  if (retriever != Retriever::kBm25)
    searched.embedder = std::make_unique<TextEmbedder>(options.retrieve.embedder, threads);
  const Embedder* embedder = searched.embedder == nullptr ? nullptr : &searched.embedder->embedder();
  searched.index = std::make_unique<Index>(options.index, retriever, embedder);
  (void)searched.index->Search("How are the questions of people answered?", options.retrieve.top_k);
  return searched;
}

// What this process holds, for the pack's predicted-beside-measured rows.
Json MemoryJson(const Options& options, const Context& context, const Model& model, const AdapterSet& adapters,
                const Searched& searched, size_t kv_bytes, uint64_t process, uint64_t peak) {
  const size_t logits = options.bench.batch * model.config().vocab * sizeof(float);
  return {{"process_bytes", process},
          {"weights_bytes", model.weights().allocated_bytes()},
          {"tokenizer_bytes", model.tokenizer.bytes()},
          {"kv_bytes", kv_bytes},
          {"workspace_bytes", model.transformer.workspace_bytes() + logits},
          {"scratch_bytes", context.scratch_bytes()},
          {"adapter_bytes", adapters.bytes()},
          {"retrieval_bytes", searched.bytes()},
          {"peak_rss_bytes", peak}};
}

void RunBench(Options options, const GlobalFlags& flags) {
  const uint64_t process = CurrentRssBytes();
  Context context(options.exact ? Numerics::kExact : Numerics::kFast, flags.threads);
  Model model = LoadModel(options.model, WeightModeOf(options.format));
  options.bench.kv_type = ParseKvType(options.kv_type, model.config());
  const AdapterSet adapters(model.transformer, options.adapters);
  const Searched searched = Search(options, context.threads);
  const std::vector<BenchRow> rows = Bench(context, model.transformer, options.bench);
  if (options.profile)
    for (const BenchRow& row : rows) PrintProfile(row);
  if (flags.json) {
    const uint64_t peak = PeakRssBytes();  // before the report itself allocates
    const size_t kv_bytes = rows.empty() ? 0 : rows.back().kv_bytes;
    const Json memory = MemoryJson(options, context, model, adapters, searched, kv_bytes, process, peak);
    Json json = Json::array();
    const Ceilings ceilings = CeilingsOf(options, context, model);
    for (const BenchRow& row : rows) json.push_back(RowJson(row, options, context, model, ceilings));
    PrintJson(Json{{"rows", json}, {"peak_rss_bytes", peak}, {"memory", memory}});
    return;
  }
  fmt::print("{} ({}), KV cache {}, {} threads, {}\n", options.model, options.format,
             GetFormat(options.bench.kv_type).name, context.threads, CpuName());
  for (const BenchRow& row : rows)
    fmt::print("{:<16} batch {:<3} {:9.1f} ± {:.1f} tok/s   {:6.1f} GB/s   {:7.1f} GFLOP/s\n", RowName(row),
               row.n_batch, row.avg_ts, row.stddev_ts, row.gigabytes_per_second, row.gigaflops);
  if (rows.empty()) fmt::print("nothing was timed: give --prompt or --generate\n");
  if (!options.ceilings) return;
  std::fflush(stdout);  // the figures are not lost where the rest fails
  const Ceilings ceilings = CeilingsOf(options, context, model);
  fmt::print("ceilings now    reading {:.1f} GB/s, GFLOP/s of dense products", ceilings.gigabytes_per_second);
  for (size_t i = 0; i < ceilings.gigaflops.size(); ++i)
    if (ceilings.gigaflops[i] > 0) fmt::print("  {} {:.0f}", kProductsNames[i], ceilings.gigaflops[i]);
  fmt::print("\n");
  for (const BenchRow& row : rows)
    fmt::print("{:<15} {:.0f}% of reading, {:.0f}% of products in {}\n", RowName(row),
               100 * Share(row.gigabytes_per_second, ceilings.gigabytes_per_second),
               100 * Share(row.gigaflops, CeilingOf(row, ceilings)), NameOf(row.products));
}

}  // namespace

std::function<void()> AddBenchCommand(CLI::App& app, const GlobalFlags& flags) {
  auto options = std::make_shared<Options>();
  app.add_option("model", options->model, "model: folder, .gguf file, hub id in the local cache, or name")->required();
  AddAdapterOption(app, options->adapters);
  app.add_option("--format", options->format, "weights in memory")
      ->check(CLI::IsMember({"as-stored", "f32", "bf16"}))
      ->capture_default_str();
  app.add_option("--prompt", options->bench.prompt, "tokens of the prefill test, 0: none")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--generate", options->bench.generate, "tokens of the decode test, 0: none")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--depth", options->bench.depth, "tokens in the cache before decoding")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  app.add_option("--kv-type", options->kv_type, "format of the KV cache")->capture_default_str();
  app.add_option("--batch", options->bench.batch, "sequences at once")
      ->check(CLI::Range(1, 4096))
      ->capture_default_str();
  app.add_option("--repetitions", options->bench.repetitions, "of each test, after one warm-up")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  app.add_option("--index", options->index, "index that is searched once and stays in memory beside the model");
  app.add_option("--retriever", options->retrieve.retriever, "how it is searched")
      ->check(CLI::IsMember(std::vector<std::string>(kRetrieverNames.begin(), kRetrieverNames.end())))
      ->capture_default_str();
  app.add_option("--embedder", options->retrieve.embedder, "of its vectors")->capture_default_str();
  app.add_flag("--exact", options->exact, "f32 arithmetic throughout");
  app.add_flag("--profile", options->profile, "time per operation, on stderr");
  app.add_flag("!--no-ceilings", options->ceilings, "do not measure what the machine could do");
  return [options, &flags] { RunBench(*options, flags); };
}

}  // namespace qad
