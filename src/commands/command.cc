#include "commands/command.h"

#include <cstdio>

namespace qad {

void AddAdapterOption(CLI::App& app, std::vector<std::string>& adapters) {
  app.add_option("--adapter", adapters,
                 "LoRA adapter: PEFT folder, or GGUF file of llama.cpp's; PATH=WEIGHT scales it, and several add up")
      ->allow_extra_args(false);
}

void PrintJson(const Json& json) { std::fputs(DumpJson(json).c_str(), stdout); }
void PrintJson(const OrderedJson& json) { std::fputs(DumpJson(json).c_str(), stdout); }

}  // namespace qad
