// Common devices, and what of a model fits on each: src/memory/machines.json, built into the program.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "memory/estimate.h"
#include "results/memory_math.h"

namespace qad {

struct Machine {
  std::string name, source;
  uint64_t memory = 0;          // bytes
  double bytes_per_second = 0;  // of its memory
  double flops = 0;             // per second, dense, in 16 bits; 0 where not published
};
std::vector<Machine> AllMachines();

// What was asked for: weights as `plan` has them, called `format`.
struct MachineQuery {
  const Plan* plan = nullptr;
  std::string format;
  FormatId kv_type = FormatId::kF16;
  uint64_t context = 4096, batch = 1;
};

// Weights as they are stored, for other runtimes hold them so, cache and one step's buffers on that machine: as asked,
// or the first that fits of smaller files of llama.cpp's types, each with the cache asked for and with one in q8_0;
// then all of them with one in q4_0. Its speed is bounded by reading weights and cache once for every token of each
// sequence (decoding), and by two operations for each weight of a block and each token of a prompt (prefill): ceilings,
// which no runtime reaches.
MachineFit FitMachine(const Machine& machine, const MachineQuery& query);

}  // namespace qad
