#include "commands/command.h"

#include <cstdio>

namespace qad {

void PrintJson(const Json& json) { std::fputs(DumpJson(json).c_str(), stdout); }
void PrintJson(const OrderedJson& json) { std::fputs(DumpJson(json).c_str(), stdout); }

}  // namespace qad
