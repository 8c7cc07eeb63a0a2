// Strictness, and that all errors come at once with their places.
#include "base/yaml.h"

#include "base/test_files.h"

namespace qad {
namespace {

struct Settings {
  int r = 8;
  double alpha = 16;
  bool on = false;
  std::string text = "default", choice = "a";
  std::vector<std::string> list;
  std::vector<int> layers;
  uint64_t bytes = 0;
  double seconds = 0;
  std::filesystem::path path;
};

// Reads `text` as a configuration with all kinds of values; throws its errors.
Settings Read(const std::string& text) {
  const TempFolder folder;
  const auto file = folder.Write("c.yaml", text);
  YamlErrors errors("c.yaml");
  Settings settings;
  {
    YamlMap top(LoadYaml(file), "", errors);
    top.String("text", settings.text);
    top.Bool("on", settings.on);
    top.Strings("list", settings.list);
    top.Ints("layers", 0, 9, settings.layers);
    top.Choice("choice", {"alpha", "beta"}, settings.choice);
    top.Bytes("bytes", settings.bytes);
    top.Seconds("seconds", settings.seconds);
    top.Path("path", "/base", settings.path);
    YamlMap lora(top.Node("lora"), "lora", errors, {{"rank", "r"}});
    lora.Int("r", 1, 256, settings.r);
    lora.Number("alpha", 0, 1e6, settings.alpha);
  }
  errors.Throw();
  return settings;
}

auto Reading(std::string text) {
  return [text = std::move(text)] { Read(text); };
}

TEST(Yaml, ReadsEveryKind) {
  const Settings s = Read(
      "text: hello world\non: true\nlist: [a, \"b c\"]\nchoice: beta\nbytes: \"16GiB\"\nseconds: 200ms\npath: data/x\n"
      "lora: {r: 16, alpha: 3.2e1}\n");
  EXPECT_EQ(s.text, "hello world");
  EXPECT_TRUE(s.on);
  EXPECT_EQ(s.list, (std::vector<std::string>{"a", "b c"}));
  EXPECT_EQ(s.choice, "beta");
  EXPECT_EQ(s.bytes, uint64_t{16} << 30);
  EXPECT_DOUBLE_EQ(s.seconds, 0.2);
  EXPECT_EQ(s.path, "/base/data/x");
  EXPECT_EQ(s.r, 16);
  EXPECT_EQ(s.alpha, 32);
}

TEST(Yaml, MissingAndNullKeepDefaults) {
  for (const char* text : {"", "# nothing\n", "lora:\n", "lora: {r: null, alpha: ~}\ntext:\nbytes: auto\n"}) {
    const Settings s = Read(text);
    EXPECT_EQ(s.r, 8) << text;
    EXPECT_EQ(s.text, "default") << text;
    EXPECT_EQ(s.bytes, 0u) << text;
  }
  EXPECT_EQ(Read("list: one").list, std::vector<std::string>{"one"});
}

TEST(Yaml, ReadsWholeNumbersWithinTheirRange) {
  EXPECT_EQ(Read("layers: [0, 9, 3]").layers, (std::vector<int>{0, 9, 3}));
  EXPECT_EQ(Read("layers: 4").layers, std::vector<int>{4});
  for (const char* wrong : {"layers: [0, 10]", "layers: [-1]", "layers: [one]", "layers: [1.5]", "layers: {a: 1}"})
    EXPECT_THROW(Read(wrong), Error) << wrong;
}

TEST(Yaml, UnknownKeysGetASuggestion) {
  EXPECT_TRUE(Fails(Reading("lora:\n  rank: 8\n"), ErrorKind::kUsage,
                    {"c.yaml:2:3: lora.rank: unknown key; did you mean 'r'?"}));
  EXPECT_TRUE(Fails(Reading("txt: x\n"), ErrorKind::kUsage, {"c.yaml:1:1: txt: unknown key; did you mean 'text'?"}));
  EXPECT_TRUE(Fails(Reading("zzzzz: x\n"), ErrorKind::kUsage, {"c.yaml:1:1: zzzzz: unknown key"}));
  EXPECT_TRUE(Fails(Reading("<<: {r: 1}\n"), ErrorKind::kUsage, {"<<: unknown key"}));
}

TEST(Yaml, DuplicateKeys) {
  EXPECT_TRUE(Fails(Reading("on: true\ntext: a\non: false\n"), ErrorKind::kUsage, {"c.yaml:3:1: on: duplicate key"}));
  EXPECT_TRUE(Fails(Reading("lora: {r: 1, r: 2}\n"), ErrorKind::kUsage, {"c.yaml:1:14: lora.r: duplicate key"}));
}

TEST(Yaml, NumbersAreNotGuessed) {
  for (const char* wrong : {"010", "0x10", "1_000", "8.0", "1e1", "eight", "0", "257", "-1", "+8", "[8]", "{a: 1}",
                            "true", "''", "99999999999999999999", "0b1", "8 "}) {
    const bool fine = std::string(wrong) == "8 ";  // trailing space is YAML's own
    const auto read = Reading(fmt::format("lora:\n  r: {}\n", wrong));
    if (fine)
      EXPECT_NO_THROW(read());
    else
      EXPECT_TRUE(Fails(read, ErrorKind::kUsage, {"c.yaml:2:6: lora.r: ", "expected a whole number from 1 to 256"}))
          << wrong;
  }
  for (const char* wrong : {".nan", ".inf", "nan", "inf", "01.5", "1,5", "-0.5", "1e7", "0x1p3", "1.5.2"})
    EXPECT_TRUE(Fails(Reading(fmt::format("lora:\n  alpha: {}\n", wrong)), ErrorKind::kUsage,
                      {"c.yaml:2:10: lora.alpha: ", "expected a number"}))
        << wrong;
}

TEST(Yaml, BooleansAreTrueOrFalse) {
  for (const char* wrong : {"yes", "on", "1", "True", "[true]"})
    EXPECT_TRUE(Fails(Reading(fmt::format("on: {}\n", wrong)), ErrorKind::kUsage,
                      {"c.yaml:1:5: on: ", "expected true or false"}))
        << wrong;
}

TEST(Yaml, OtherWrongTypes) {
  EXPECT_TRUE(Fails(Reading("text: [a]\n"), ErrorKind::kUsage, {"1:7: text: a list given, expected a text"}));
  EXPECT_TRUE(Fails(Reading("list: {a: b}\n"), ErrorKind::kUsage, {"list: a mapping given, expected a list of texts"}));
  EXPECT_TRUE(Fails(Reading("list: [a, [b]]\n"), ErrorKind::kUsage, {"list: a list given"}));
  EXPECT_TRUE(Fails(Reading("lora: 5\n"), ErrorKind::kUsage, {"c.yaml:1:7: lora: expected a mapping"}));
  EXPECT_TRUE(Fails(Reading("[a, b]\n"), ErrorKind::kUsage, {"c.yaml:1:1: the document: expected a mapping"}));
  EXPECT_TRUE(Fails(Reading("choice: bta\n"), ErrorKind::kUsage,
                    {"choice: 'bta' given, expected alpha | beta; did you mean 'beta'?"}));
  EXPECT_TRUE(Fails(Reading("bytes: 16Gib\n"), ErrorKind::kUsage, {"bytes: '16Gib' given"}));
  EXPECT_TRUE(Fails(Reading("seconds: -5s\n"), ErrorKind::kUsage, {"seconds: '-5s' given"}));
  EXPECT_TRUE(Fails(Reading("path: ''\n"), ErrorKind::kUsage, {"path: '' given, expected a path"}));
  EXPECT_TRUE(Fails(Reading("? [a, b]\n: c\n"), ErrorKind::kUsage, {"a key must be a word"}));
}

TEST(Yaml, AllErrorsAtOnceInFileOrder) {
  EXPECT_TRUE(Fails(Reading("on: maybe\nlora:\n  r: 0\n  rank: 4\n  alpha: x\nseconds: 3\ncolour: red\n"),
                    ErrorKind::kUsage,
                    {"c.yaml:1:5: on: 'maybe' given, expected true or false\n"
                     "c.yaml:3:6: lora.r: '0' given, expected a whole number from 1 to 256\n"
                     "c.yaml:4:3: lora.rank: unknown key; did you mean 'r'?\n"
                     "c.yaml:5:10: lora.alpha: 'x' given, expected a number from 0 to 1000000\n"
                     "c.yaml:7:1: colour: unknown key"}));
}

TEST(Yaml, ASecondDocumentIsAnError) {
  EXPECT_TRUE(
      Fails(Reading("on: true\n---\ntext: a\n"), ErrorKind::kUsage, {"c.yaml:3:1: a second document begins here"}));
  EXPECT_TRUE(Fails(Reading("on: true\n---\n"), ErrorKind::kUsage, {"a second document"}));
  EXPECT_NO_THROW(Read("---\non: true\n...\n"));
}

TEST(Yaml, SyntaxErrorsHaveAPlace) {
  EXPECT_TRUE(Fails(Reading("on: [true\ntext: a\n"), ErrorKind::kUsage, {"c.yaml:"}));
  EXPECT_TRUE(Fails(Reading("on: true\n\ttext: a\n"), ErrorKind::kUsage, {"c.yaml:2:"}));
  EXPECT_TRUE(Fails(Reading("text: *nothing\n"), ErrorKind::kUsage, {"c.yaml:1:"}));
  EXPECT_TRUE(Fails(Reading(std::string(100000, '[')), ErrorKind::kUsage, {"c.yaml:"}));
  EXPECT_TRUE(Fails(Reading(std::string(2 << 20, '#')), ErrorKind::kInput, {"more than"}));
}

TEST(Yaml, WrongSaysWhereAKeyIsMissing) {
  YamlErrors errors("c.yaml");
  {
    YamlMap map(YAML::Load("\n\na: 1\n"), "m", errors);
    int a = 0;
    map.Int("a", 0, 1, a);
    map.Wrong("data", "a path");
  }
  EXPECT_TRUE(Fails([&] { errors.Throw(); }, ErrorKind::kUsage, {"c.yaml:3:1: m.data: missing, expected a path"}));
}

TEST(Parse, Bytes) {
  EXPECT_EQ(ParseBytes("90MB"), 90000000u);
  EXPECT_EQ(ParseBytes("1.5 KiB"), 1536u);
  EXPECT_EQ(ParseBytes("12"), 12u);
  for (const char* wrong : {"", "GiB", "-1GiB", "1e30", "5 PB", "1GiBx", "..", "0x10", "9999999999TiB"})
    EXPECT_FALSE(ParseBytes(wrong)) << wrong;
}

TEST(Parse, Seconds) {
  EXPECT_EQ(ParseSeconds("10min"), 600);
  EXPECT_EQ(ParseSeconds("1d"), 86400);
  EXPECT_EQ(ParseSeconds("3"), 3);
  for (const char* wrong : {"", "s", "-3s", "5 parsecs", "1h30m"}) EXPECT_FALSE(ParseSeconds(wrong)) << wrong;
}

}  // namespace
}  // namespace qad
