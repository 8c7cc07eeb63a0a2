// What of a model fits: into so much memory, in which formats; and on common devices (src/memory/machines.json, built
// into the program).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "memory/estimate.h"
#include "results/memory_math.h"

namespace qad {

// Of questions that name no context; less where the model was trained for less.
inline constexpr uint64_t kUsualContext = 4096;

// A format and the longest contexts with it, by type of the cache.
struct FormatFits {
  std::string format;
  uint64_t bytes = 0;  // of the weights as this program holds them
  std::vector<FitAnswer> answers;
};
// What fits into `budget` beside `engine` bytes: the weights of `plan`, called `format`, and files of llama.cpp's types
// that take less and less memory, with a cache in f16, q8_0 and q4_0 each.
std::vector<FormatFits> FitsOf(const Plan& plan, const std::string& format, uint64_t batch, uint64_t budget,
                               uint64_t engine);

struct Machine {
  std::string name, source;
  uint64_t memory = 0;          // bytes
  double bytes_per_second = 0;  // of its memory
  double flops = 0;             // per second, dense, in 16 bits; 0 where not published
  double price_per_hour = 0;    // 0: none is known; the table has none, for prices change
  bool runs_qad = false;        // weights lie there as this program holds them, beside MachineQuery::engine
};
std::vector<Machine> AllMachines();

// What was asked for: weights as `plan` has them, called `format`.
struct MachineQuery {
  const Plan* plan = nullptr;
  std::string format;
  FormatId kv_type = FormatId::kF16;
  uint64_t context = kUsualContext, batch = 1;
  uint64_t engine = 0;  // bytes of this program
};

// Weights as they are stored, for other runtimes hold them so, cache and one step's buffers on that machine: as asked,
// or the first that fits of smaller files of llama.cpp's types, each with the cache asked for and with one in q8_0;
// then all of them with one in q4_0. Where none has room for the context, which has room for the longest one. Its speed
// is bounded by reading weights and cache once for every token of each sequence (decoding), by two operations for each
// weight that a token meets (blocks; decoded, the head, too): ceilings, which no runtime reaches, and from which the
// least price of a million tokens follows.
MachineFit FitMachine(const Machine& machine, const MachineQuery& query);

}  // namespace qad
