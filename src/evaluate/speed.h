// Speed of one model in this process, with fixed input and output lengths: prefill, decode and latency.
#pragma once

#include <array>
#include <cstddef>
#include <string>
#include <vector>

#include "model/generation.h"
#include "model/transformer.h"

namespace qad {

struct BenchOptions {
  size_t prompt = 512;     // tokens of the prefill test; 0: none
  size_t generate = 64;    // tokens of the decode test; 0: none
  size_t batch = 1;        // sequences at once
  size_t repetitions = 5;  // after one warm-up
  size_t depth = 0;        // tokens already in the cache before a decode
  FormatId kv_type = FormatId::kF16;
};

// One test, with the fields of llama-bench, but n_batch, which is the sequences at once. Rates count tokens of all of
// them.
struct BenchRow {
  size_t n_prompt = 0, n_gen = 0, n_batch = 1, n_depth = 0;
  size_t kv_bytes = 0;  // of the cache, as allocated: one for both tests
  std::vector<double> samples_ns, samples_ts;
  double avg_ns = 0, stddev_ns = 0, avg_ts = 0, stddev_ts = 0, median_ts = 0;
  double gigabytes_per_second = 0;     // weights and cached keys and values read, per second
  double gigaflops = 0;                // 2 × weights of linears × tokens, per second
  Products products = Products::kF32;  // what most of these multiplications are in
  std::array<double, static_cast<size_t>(Timed::kCount)> operations{};  // seconds of each in all samples
};

// Random tokens from a fixed seed. Errors (kInput): prompt or generate longer than the model's positions; a batch that
// does not fit into memory.
std::vector<BenchRow> Bench(Context& context, Transformer& model, const BenchOptions& options);

// Latencies of one prompt, single stream, no sharing: time to first token, and to `generate` tokens (end ignored).
struct Latency {
  double first_token_seconds = 0, seconds = 0;
};
Latency MeasureLatency(Context& context, Transformer& model, const Tokenizer& tokenizer,
                       const std::vector<TokenId>& prompt, int generate);

}  // namespace qad
