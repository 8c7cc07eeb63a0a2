// SHA-256, for manifests, caches and checks of fetched files.
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace qad {

class MappedFile;

// 64 lower-case hexadecimal digits.
std::string Sha256(std::span<const std::byte> bytes);
std::string Sha256(std::string_view text);
// The digest in base64, as content security policies name what they allow: 'sha256-…'.
std::string Sha256Base64(std::string_view text);
// Never in memory whole. Errors: as MappedFile.
std::string Sha256File(const std::filesystem::path& path);
std::string Sha256File(const MappedFile& file);
// Of the running program's own file: what a result was made by, more exactly than any version says.
const std::string& ProgramSha256();

}  // namespace qad
