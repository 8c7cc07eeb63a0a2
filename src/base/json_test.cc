#include "base/json.h"

#include <cmath>

#include "base/test_files.h"

namespace qad {
namespace {

auto Parsing(std::string text) {
  return [text = std::move(text)] { ParseJson(text, "x.json"); };
}

TEST(ParseJson, RefusesWhatIsMalformed) {
  EXPECT_TRUE(Fails(Parsing(""), ErrorKind::kInput, {"x.json: not valid JSON"}));
  EXPECT_TRUE(Fails(Parsing("{\"a\":1"), ErrorKind::kInput, {"x.json: not valid JSON", "column 7"}));
  EXPECT_TRUE(Fails(Parsing("{\"a\":1} {}"), ErrorKind::kInput, {"not valid JSON"}));
  EXPECT_TRUE(Fails(Parsing("{\"a\":NaN}"), ErrorKind::kInput, {"not valid JSON"}));
  EXPECT_TRUE(Fails(Parsing("{\"a\":1e999}"), ErrorKind::kInput, {"not valid JSON"}));
  EXPECT_TRUE(Fails(Parsing("{\"a\":01}"), ErrorKind::kInput, {"not valid JSON"}));
  EXPECT_TRUE(Fails(Parsing("{\"a\":'b'}"), ErrorKind::kInput, {"not valid JSON"}));
  EXPECT_TRUE(Fails(Parsing("\"\xff\""), ErrorKind::kInput, {"not valid JSON"}));
  EXPECT_TRUE(Fails(Parsing("\"\\ud800\""), ErrorKind::kInput, {"not valid JSON"}));
}

TEST(ParseJson, SeesBehindANul) {
  EXPECT_TRUE(Fails(Parsing(std::string("{}\0{", 4)), ErrorKind::kInput, {"x.json", "NUL byte at offset 2"}));
}

TEST(ParseJson, RefusesDuplicateKeysAtAnyDepth) {
  EXPECT_TRUE(Fails(Parsing(R"({"a":1,"a":1})"), ErrorKind::kInput, {"x.json", "duplicate key \"a\""}));
  EXPECT_TRUE(Fails(Parsing(R"({"a":[{"b":1,"b":2}]})"), ErrorKind::kInput, {"duplicate key \"b\""}));
  EXPECT_TRUE(Fails(Parsing(R"({"a":1,"\u0061":2})"), ErrorKind::kInput, {"duplicate key \"a\""}));
  EXPECT_NO_THROW(ParseJson(R"({"a":{"a":{"a":1}},"b":{"a":1}})", "x.json"));
}

TEST(ParseJson, BoundsDepth) {
  const auto nested = [](int depth) {
    return std::string(static_cast<size_t>(depth), '[') + std::string(static_cast<size_t>(depth), ']');
  };
  EXPECT_NO_THROW(ParseJson(nested(kMaxJsonDepth), "x.json"));
  EXPECT_TRUE(Fails(Parsing(nested(kMaxJsonDepth + 1)), ErrorKind::kInput, {"x.json", "nested deeper than 64"}));
  EXPECT_TRUE(Fails(Parsing(std::string(10000000, '[')), ErrorKind::kInput, {"nested deeper"}));
}

TEST(ParseJson, TakesManyKeys) {
  std::string text = "{";
  for (int i = 0; i < 100000; ++i) text += fmt::format("{}\"k{}\":0", i == 0 ? "" : ",", i);
  EXPECT_EQ(ParseJson(text + "}", "x.json").size(), 100000u);
}

TEST(ReadJsonFile, NamesTheFileAndBoundsItsSize) {
  const TempFolder folder;
  const auto path = folder.Write("big.json", "[1,2,3]");
  EXPECT_EQ(ReadJsonFile(path), Json({1, 2, 3}));
  EXPECT_TRUE(Fails([&] { ReadJsonFile(path, 3); }, ErrorKind::kInput, {"big.json", "7 bytes"}));
  EXPECT_TRUE(Fails([&] { ReadJsonFile(folder.path()); }, ErrorKind::kInput, {"not a regular file"}));
}

TEST(JsonObject, Integers) {
  const Json json =
      ParseJson(R"({"n":5,"minus":-1,"half":1.5,"text":"5","huge":18446744073709551615,"none":null,"one":1.0})", "f");
  const JsonObject object(json, "f");
  EXPECT_EQ(object.Int("n", 0, 5), 5);
  EXPECT_EQ(object.IntOr("none", 0, 1, 9), 9);
  EXPECT_EQ(object.IntOr("absent", 0, 1, 9), 9);
  const auto want = [&](const char* key) { return [&object, key] { (void)object.Int(key, 0, 4); }; };
  EXPECT_TRUE(Fails(want("n"), ErrorKind::kInput, {"f: \"n\" is 5; expected a whole number from 0 to 4"}));
  for (const char* key : {"minus", "half", "text", "huge", "none", "one"})
    EXPECT_TRUE(Fails(want(key), ErrorKind::kInput, {"whole number"})) << key;
  EXPECT_TRUE(Fails(want("absent"), ErrorKind::kInput, {"\"absent\" is missing"}));
}

TEST(JsonObject, OtherTypes) {
  const Json json = ParseJson(R"({"x":0.5,"yes":true,"text":"t","list":[1],"map":{"a":1}})", "f");
  const JsonObject object(json, "f");
  EXPECT_EQ(object.Number("x", 0, 1), 0.5);
  EXPECT_TRUE(object.BoolOr("yes", false));
  EXPECT_EQ(object.String("text"), "t");
  EXPECT_EQ(object.Object("map").Int("a", 0, 1), 1);
  EXPECT_TRUE(Fails([&] { (void)object.Number("x", 1, 2); }, ErrorKind::kInput, {"\"x\" is 0.5"}));
  EXPECT_TRUE(Fails([&] { (void)object.Number("yes", 0, 2); }, ErrorKind::kInput, {"expected a number"}));
  EXPECT_TRUE(Fails([&] { (void)object.BoolOr("text", false); }, ErrorKind::kInput, {"true or false"}));
  EXPECT_TRUE(Fails([&] { (void)object.String("x"); }, ErrorKind::kInput, {"a string"}));
  EXPECT_TRUE(Fails([&] { (void)object.StringOr("list", ""); }, ErrorKind::kInput, {"\"list\" is array"}));
  EXPECT_TRUE(Fails([&] { (void)object.Object("list"); }, ErrorKind::kInput, {"f: list: expected a JSON object"}));
  EXPECT_TRUE(
      Fails([&] { JsonObject(json["list"], "f"); }, ErrorKind::kInput, {"expected a JSON object, found array"}));
}

TEST(DumpJson, RefusesWhatIsNotFinite) {
  EXPECT_EQ(DumpJson(Json{{"b", 1}, {"a", 0.5}}, -1), "{\"a\":0.5,\"b\":1}\n");
  EXPECT_EQ(DumpJson(OrderedJson{{"b", 1}, {"a", 2}}, -1), "{\"b\":1,\"a\":2}\n");
  EXPECT_TRUE(Fails([] { DumpJson(Json{{"a", {1.0, std::nan("")}}}); }, ErrorKind::kNumeric, {"NaN"}));
  EXPECT_TRUE(Fails([] { DumpJson(OrderedJson{{"a", INFINITY}}); }, ErrorKind::kNumeric, {"infinite"}));
}

}  // namespace
}  // namespace qad
