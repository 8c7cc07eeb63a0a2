// What this process and this machine are, for measured rows and for "does it fit": resident memory, the memory there
// is, the processor's name. Sources: Linux proc(5), Documentation/admin-guide/cgroup-v2.rst and cgroup-v1/memory.rst.
#pragma once

#include <cstdint>
#include <filesystem>
#include <string>

namespace qad {

// Bytes of this process that lie in RAM now (VmRSS), mapped file pages included. 0 where /proc does not say.
uint64_t CurrentRssBytes();
// The most it ever was, since the start or the last ResetPeakRss (VmHWM).
uint64_t PeakRssBytes();
// The peak becomes what is resident now, so that a stage can be measured alone. False where the system does not allow
// it.
bool ResetPeakRss();

// Hands memory that has been freed back to the system, as far as malloc still has it: after what has made and dropped
// much, as the reading of a vocabulary does.
void ReturnFreedMemory();

// RAM that this process may use: the machine's, or the smallest limit of its control group and that one's parents.
uint64_t TotalMemoryBytes();
// RAM that this process could still take: what the machine calls available, and no more than the control group's limit
// leaves beside this process (what others of the group take is not known).
uint64_t AvailableMemoryBytes();
// The smallest limit stated on the way from a control group up to the root of its tree; UINT64_MAX where there is none.
// `root` is where the tree is mounted, `group` the path of the group below it ("/a/b"), `file` the limit's file name.
uint64_t SmallestCgroupLimit(const std::filesystem::path& root, const std::string& group, const std::string& file);

// "AMD EPYC 9R14": the model name of the first processor; "unknown" where /proc does not say.
std::string CpuName();

}  // namespace qad
