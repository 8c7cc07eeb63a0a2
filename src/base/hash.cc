#include "base/hash.h"

#include <openssl/evp.h>

#include <array>

#include "base/error.h"
#include "base/files.h"

namespace qad {

std::string Sha256(std::span<const std::byte> bytes) {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  QAD_CHECK(EVP_Digest(bytes.data(), bytes.size(), digest.data(), &size, EVP_sha256(), nullptr) == 1);
  std::string hex;
  for (unsigned i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
  return hex;
}

std::string Sha256(std::string_view text) { return Sha256(std::as_bytes(std::span(text.data(), text.size()))); }

std::string Sha256File(const std::filesystem::path& path) {
  const MappedFile file(path);
  std::string hex = Sha256(file.bytes());
  file.DropPages();
  return hex;
}

const std::string& ProgramSha256() {
  static const std::string hash = Sha256File("/proc/self/exe");
  return hash;
}

}  // namespace qad
