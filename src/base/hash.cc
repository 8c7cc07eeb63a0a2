#include "base/hash.h"

#include <openssl/evp.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/error.h"
#include "base/files.h"

namespace qad {
namespace {

class Digest {
 public:
  Digest() { QAD_CHECK(context_ != nullptr && EVP_DigestInit_ex(context_.get(), EVP_sha256(), nullptr) == 1); }
  void Add(std::span<const std::byte> bytes) {
    QAD_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
  }
  std::string Hex() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
    unsigned size = 0;
    QAD_CHECK(EVP_DigestFinal_ex(context_.get(), digest.data(), &size) == 1);
    std::string hex;
    for (unsigned i = 0; i < size; ++i) hex += fmt::format("{:02x}", digest[i]);
    return hex;
  }

 private:
  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

}  // namespace

std::string Sha256(std::span<const std::byte> bytes) {
  Digest digest;
  digest.Add(bytes);
  return digest.Hex();
}

std::string Sha256(std::string_view text) { return Sha256(std::as_bytes(std::span(text.data(), text.size()))); }

std::string Sha256File(const std::filesystem::path& path) { return Sha256File(MappedFile(path)); }

std::string Sha256File(const MappedFile& file) {
  constexpr size_t kStride = size_t{16} << 20;  // of mapped pages, which count as resident
  Digest digest;
  for (std::span<const std::byte> left = file.bytes(); !left.empty();) {
    const size_t count = std::min(left.size(), kStride);
    digest.Add(left.first(count));
    file.DropPages();
    left = left.subspan(count);
  }
  return digest.Hex();
}

const std::string& ProgramSha256() {
  static const std::string hash = Sha256File("/proc/self/exe");
  return hash;
}

}  // namespace qad
