// FIPS 180-2, appendix B.
#include "base/hash.h"

#include <string>

#include "base/test_files.h"

namespace qad {
namespace {

TEST(Sha256, KnownAnswers) {
  EXPECT_EQ(Sha256(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(Sha256("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(Sha256(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(Sha256, KnownAnswersInBase64) {
  EXPECT_EQ(Sha256Base64(""), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=");
  EXPECT_EQ(Sha256Base64("abc"), "ungWv48Bz+pBQUDeXa4iI7ADYaOWF3qctBD/YfIAFa0=");
}

TEST(Sha256, OfAFileIsThatOfItsBytes) {
  const TempFolder folder;
  EXPECT_EQ(Sha256File(folder.Write("a", "abc")), Sha256("abc"));
  EXPECT_EQ(Sha256File(folder.Write("empty", "")), Sha256(""));
  EXPECT_TRUE(Fails([&] { Sha256File(folder / "none"); }, ErrorKind::kInput, {"none", "cannot be opened"}));
}

}  // namespace
}  // namespace qad
