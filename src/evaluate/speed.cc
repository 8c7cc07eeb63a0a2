#include "evaluate/speed.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>

#include "base/error.h"
#include "base/interrupt.h"
#include "base/process.h"
#include "base/random.h"
#include "kernels/elementwise.h"
#include "model/footprint.h"
#include "results/statistics.h"

namespace qad {
namespace {

using Clock = std::chrono::steady_clock;
using Tokens = std::vector<TokenId>;

Tokens RandomTokens(size_t count, size_t vocab, uint64_t stream) {
  Random random(0x5eed, stream);
  Tokens tokens(count);
  for (TokenId& token : tokens) token = static_cast<TokenId>(random.Below(vocab));
  return tokens;
}

// Packed rows of one step, as generation takes them: memory is that of a step, however long the prompts are.
size_t RowsOfStep(const Transformer& model, size_t sequences) { return std::max(StepRows(model.config()), sequences); }

// Runs a piece of text in each sequence of the batch, in steps, as generation does; logits (sequences, vocab) are those
// after its end.
void RunAll(Context& context, Transformer& model, KvCache& cache, const std::vector<Tokens>& tokens, size_t start,
            RowsAre rows_are, std::vector<float>& logits) {
  const size_t vocab = model.config().vocab;
  float* out = logits.data();
  size_t slot = 0, at = 0;  // what is run next
  while (slot < tokens.size()) {
    ThrowIfInterrupted();
    std::vector<Segment> segments;
    std::vector<size_t> last;
    size_t left = RowsOfStep(model, tokens.size()), rows = 0;
    while (slot < tokens.size() && left > 0) {
      const size_t count = std::min(left, tokens[slot].size() - at);
      segments.push_back({.slot = slot, .start = start + at, .tokens = std::span(tokens[slot]).subspan(at, count)});
      rows += count;
      left -= count;
      at += count;
      if (at < tokens[slot].size()) continue;
      last.push_back(rows - 1);
      ++slot;
      at = 0;
    }
    {
      const ScopedSetting as(context.rows, rows_are);
      model.Run(context, segments, cache);
    }
    const ScopedSetting as(context.rows, RowsAre::kOfAnswers);
    model.Logits(context, last, out);
    out += last.size() * vocab;
  }
}

BenchRow Summarize(BenchRow row, size_t tokens, double bytes, double flops) {
  const auto n = static_cast<double>(row.samples_ns.size());
  std::vector<double>& rates = row.samples_ts;
  for (const double ns : row.samples_ns) rates.push_back(static_cast<double>(tokens) / ns * 1e9);
  const auto mean = [&](const std::vector<double>& values) {
    double sum = 0;
    for (const double v : values) sum += v;
    return sum / n;
  };
  const auto deviation = [&](const std::vector<double>& values, double center) {
    double sum = 0;
    for (const double v : values) sum += (v - center) * (v - center);
    return n > 1 ? std::sqrt(sum / (n - 1)) : 0.0;
  };
  row.avg_ns = mean(row.samples_ns);
  row.stddev_ns = deviation(row.samples_ns, row.avg_ns);
  row.avg_ts = mean(rates);
  row.stddev_ts = deviation(rates, row.avg_ts);
  row.median_ts = Quantile(rates, 0.5);
  const double seconds = Quantile(row.samples_ns, 0.5) * 1e-9;
  row.gigabytes_per_second = bytes / seconds * 1e-9;
  row.gigaflops = flops / seconds * 1e-9;
  return row;
}

// Bytes that one pass reads of the weights: all but the rows of the embedding that are not looked up.
double WeightBytesRead(const Transformer& model) {
  double bytes = 0;
  for (const TensorSpec& spec : model.weights().plan().tensors) {
    const bool embedding = spec.role == Role::kTokenEmbedding || spec.role == Role::kPositionEmbedding;
    const bool head = spec.role == Role::kTokenEmbedding && model.config().tied_head;
    if (!embedding || head) bytes += static_cast<double>(spec.bytes());
  }
  return bytes;
}

double MatrixElements(const Transformer& model, bool with_head) {
  double elements = 0;
  for (const TensorSpec& spec : model.weights().plan().tensors) {
    const bool head = spec.role == Role::kHead || (spec.role == Role::kTokenEmbedding && model.config().tied_head);
    if (!spec.bias && (head ? with_head : IsLinear(spec.role))) elements += static_cast<double>(spec.elements());
  }
  return elements;
}

// Of most of the weights of linear operations.
Products MostProducts(const Context& context, const Transformer& model, size_t rows) {
  const Weights& weights = model.weights();
  std::array<double, kProductsNames.size()> elements = {};
  for (size_t i = 0; i < weights.plan().tensors.size(); ++i) {
    const TensorSpec& spec = weights.plan().tensors[i];
    if (spec.bias || !IsLinear(spec.role)) continue;
    elements[static_cast<size_t>(ProductsOf(context, weights.view(i), rows))] += static_cast<double>(spec.elements());
  }
  return static_cast<Products>(std::ranges::max_element(elements) - elements.begin());
}

double Nanoseconds(const std::function<void()>& work) {
  const auto start = Clock::now();
  work();
  return std::chrono::duration<double, std::nano>(Clock::now() - start).count();
}

// What both tests share: a cache, logits, and as many texts as there are sequences.
struct Bencher {
  Context& context;
  Transformer& model;
  const BenchOptions& options;
  size_t batch;
  KvCache cache;
  std::vector<float> logits;

  std::vector<Tokens> Texts(size_t count) const {
    std::vector<Tokens> all;
    for (size_t b = 0; b < batch; ++b) all.push_back(RandomTokens(count, model.config().vocab, b));
    return all;
  }
  void Run(const std::vector<Tokens>& tokens, size_t start, RowsAre rows) {
    RunAll(context, model, cache, tokens, start, rows, logits);
  }
  double KvRowBytes() const { return static_cast<double>(KvCache::Bytes(model.config(), 1, 1, options.kv_type)); }

  // One warm-up, then the repetitions, of `rows` at once.
  void Repeat(BenchRow& row, size_t rows, RowsAre rows_are, const std::function<void()>& work) const {
    {
      const ScopedSetting as(context.rows, rows_are);
      row.products = MostProducts(context, model, rows);
    }
    for (size_t r = 0; r <= options.repetitions; ++r) {
      ThrowIfInterrupted();
      if (r == 1) context.ResetTimers();
      const double ns = Nanoseconds(work);
      if (r > 0) row.samples_ns.push_back(ns);
    }
    row.operations = context.seconds;
  }
};

BenchRow BenchPrefill(Bencher& bench) {
  const size_t length = bench.options.prompt, all = length * bench.batch;
  const std::vector<Tokens> prompts = bench.Texts(length);
  BenchRow row;
  row.n_prompt = length;
  row.n_batch = bench.batch;
  const size_t step = RowsOfStep(bench.model, bench.batch);
  bench.Repeat(row, std::min(all, step), RowsAre::kOfPrompts, [&] { bench.Run(prompts, 0, RowsAre::kOfPrompts); });
  const double tokens = static_cast<double>(all), sequences = static_cast<double>(bench.batch);
  const double body = MatrixElements(bench.model, false), head = MatrixElements(bench.model, true) - body;
  const size_t steps = (all + step - 1) / step;
  return Summarize(row, all, static_cast<double>(steps) * WeightBytesRead(bench.model) + bench.KvRowBytes() * tokens,
                   2 * (tokens * body + sequences * head));
}

BenchRow BenchDecode(Bencher& bench) {
  const BenchOptions& options = bench.options;
  const size_t vocab = bench.model.config().vocab;
  if (options.depth > 0) bench.Run(bench.Texts(options.depth), 0, RowsAre::kOfPrompts);
  std::vector<Tokens> tokens = bench.Texts(1);
  BenchRow row;
  row.n_gen = options.generate;
  row.n_batch = bench.batch;
  row.n_depth = options.depth;
  bench.Repeat(row, bench.batch, RowsAre::kOfAnswers, [&] {
    for (size_t t = 0; t < options.generate; ++t) {
      bench.Run(tokens, options.depth + t, RowsAre::kOfAnswers);
      for (size_t b = 0; b < bench.batch; ++b) {
        tokens[b][0] = static_cast<TokenId>(ArgMax(bench.logits.data() + b * vocab, vocab));
      }
    }
  });
  const double steps = static_cast<double>(options.generate), sequences = static_cast<double>(bench.batch);
  const double mean_depth = static_cast<double>(options.depth) + (steps + 1) / 2;
  const double bytes = steps * (WeightBytesRead(bench.model) + bench.KvRowBytes() * mean_depth * sequences);
  return Summarize(row, bench.batch * options.generate, bytes,
                   2 * steps * sequences * MatrixElements(bench.model, true));
}

}  // namespace

std::vector<BenchRow> Bench(Context& context, Transformer& model, const BenchOptions& options) {
  const ModelConfig& config = model.config();
  const size_t longest = std::max(options.prompt, options.depth + options.generate);
  if (longest > config.max_positions)
    FailInput("{} tokens exceed the model's {} positions; use smaller --prompt, --generate or --depth", longest,
              config.max_positions);
  const size_t batch = std::max<size_t>(options.batch, 1);
  RequireRoom(config, batch, std::max<size_t>(longest, 1), options.kv_type, AvailableMemoryBytes());
  Bencher bench{context,
                model,
                options,
                batch,
                KvCache(config, batch, std::max<size_t>(longest, 1), options.kv_type),
                std::vector<float>(batch * config.vocab)};
  std::vector<BenchRow> rows;
  if (options.prompt > 0) rows.push_back(BenchPrefill(bench));
  if (options.generate > 0) rows.push_back(BenchDecode(bench));
  for (BenchRow& row : rows) row.kv_bytes = bench.cache.allocated_bytes();
  return rows;
}

Latency MeasureLatency(Context& context, Transformer& model, const Tokenizer& tokenizer, const Tokens& prompt,
                       int generate) {
  GenerateOptions options;
  options.max_new_tokens = generate;
  options.ignore_end = true;
  options.max_batch = 1;
  const Generated out = Generate(context, model, tokenizer, std::span(&prompt, 1), options, false).front();
  return {.first_token_seconds = out.first_token_seconds, .seconds = out.seconds};
}

}  // namespace qad
