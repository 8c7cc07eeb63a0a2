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
    std::string hex;
    for (const unsigned char byte : Finish()) hex += fmt::format("{:02x}", byte);
    return hex;
  }
  std::string Base64() {
    const Bytes bytes = Finish();
    std::string base64(44, '\0');  // and the NUL behind it, which OpenSSL writes too
    QAD_CHECK(EVP_EncodeBlock(reinterpret_cast<unsigned char*>(base64.data()), bytes.data(), bytes.size()) == 44);
    return base64;
  }

 private:
  using Bytes = std::array<unsigned char, 32>;
  Bytes Finish() {
    Bytes bytes{};
    QAD_CHECK(EVP_DigestFinal_ex(context_.get(), bytes.data(), nullptr) == 1);
    return bytes;
  }

  std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context_{EVP_MD_CTX_new(), EVP_MD_CTX_free};
};

}  // namespace

std::string Sha256(std::span<const std::byte> bytes) {
  Digest digest;
  digest.Add(bytes);
  return digest.Hex();
}

std::string Sha256(std::string_view text) { return Sha256(std::as_bytes(std::span(text.data(), text.size()))); }

std::string Sha256Base64(std::string_view text) {
  Digest digest;
  digest.Add(std::as_bytes(std::span(text.data(), text.size())));
  return digest.Base64();
}

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
