// SHA-256, for manifests, caches and checks of fetched files.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace qad {

// 64 lower-case hexadecimal digits.
std::string Sha256(std::span<const std::byte> bytes);
std::string Sha256(std::string_view text);
std::string Sha256File(const std::filesystem::path& path);  // never in memory whole. Errors: as MappedFile
// Of the running program's own file: what a result was made by, more exactly than any version says.
const std::string& ProgramSha256();

}  // namespace qad
