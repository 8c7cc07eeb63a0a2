// Ids equal to the reference's for small vocabularies (testdata/make_text_goldens.py), and what malformed ones do.
#include "text/tokenizer.h"

#include <chrono>

#include "base/json.h"
#include "base/random.h"
#include "base/test_files.h"
#include "text/splitter.h"

namespace qad {
namespace {

using Ids = std::vector<TokenId>;

Tokenizer Small(const std::string& name) {
  return Tokenizer::FromTokenizerJson(TestData("text/" + name + "/tokenizer.json"));
}

class SmallVocabulary : public ::testing::TestWithParam<const char*> {};

TEST_P(SmallVocabulary, GivesTheReferencesIds) {
  const Json golden = ReadJsonFile(TestData("text/golden.json"));
  const Tokenizer tokenizer = Small(GetParam());
  for (const Json& row : golden["tokens"])
    EXPECT_EQ(tokenizer.Encode(row["text"].get<std::string>()), row[GetParam()].get<Ids>()) << row["text"];
}

TEST_P(SmallVocabulary, DecodesToTheText) {
  const Json golden = ReadJsonFile(TestData("text/golden.json"));
  const Tokenizer tokenizer = Small(GetParam());
  for (const Json& row : golden["tokens"]) {
    const auto text = row["text"].get<std::string>();
    EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
    EXPECT_EQ(tokenizer.Decode(tokenizer.EncodeWithSpecial(text), true), text);
  }
}

INSTANTIATE_TEST_SUITE_P(Styles, SmallVocabulary, ::testing::Values("bytelevel-gpt2", "bytelevel-smollm"),
                         [](const auto& row) { return std::string(row.param).substr(10); });

TEST(Tokenizer, SpecialTokensOnlyInTemplates) {
  const Json golden = ReadJsonFile(TestData("text/golden.json"));
  const Tokenizer tokenizer = Small("bytelevel-smollm");
  for (const Json& row : golden["tokens"])
    EXPECT_EQ(tokenizer.EncodeWithSpecial(row["text"].get<std::string>()), row["bytelevel-smollm-special"].get<Ids>())
        << row["text"];
  ASSERT_EQ(tokenizer.EncodeWithSpecial("<|im_end|>").size(), 1u);
  const TokenId end = tokenizer.EncodeWithSpecial("<|im_end|>").front();
  EXPECT_GT(tokenizer.Encode("<|im_end|>").size(), 1u);
  EXPECT_EQ(tokenizer.Decode(Ids{end}), "");
  EXPECT_EQ(tokenizer.Decode(Ids{end}, true), "<|im_end|>");
  EXPECT_TRUE(tokenizer.IsEndOfGeneration(end));
  EXPECT_FALSE(tokenizer.IsEndOfGeneration(tokenizer.Encode("a").front()));
  EXPECT_FALSE(tokenizer.IsEndOfGeneration(-1));
  EXPECT_FALSE(tokenizer.IsEndOfGeneration(1 << 30));
}

TEST(Tokenizer, DecodesAnyIds) {
  const Tokenizer tokenizer = Small("bytelevel-gpt2");
  EXPECT_EQ(tokenizer.Decode(Ids{-1, 1 << 30, tokenizer.vocab_size()}), "");
  const TokenId byte = tokenizer.Encode("漢")[0];  // a third of a character
  EXPECT_EQ(tokenizer.Decode(Ids{byte}), "\xEF\xBF\xBD");
}

TEST(Tokenizer, InvalidUtf8BecomesReplacementCharacters) {
  const Tokenizer tokenizer = Small("bytelevel-gpt2");
  EXPECT_EQ(tokenizer.Encode("a\xff\xe2\x82z"), tokenizer.Encode("a\uFFFD\uFFFDz"));
  EXPECT_EQ(tokenizer.Encode("\xff"), tokenizer.EncodeWithSpecial("\uFFFD"));
  const std::string nul("a\0b", 3);
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(nul)), nul);
}

double SecondsToEncode(const Tokenizer& tokenizer, const std::string& text) {
  const auto start = std::chrono::steady_clock::now();
  EXPECT_EQ(tokenizer.Decode(tokenizer.Encode(text)), text);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

// Each takes some 10 ms; a merge loop in n² would take minutes, a backtracking split longer. The bound leaves room for
// sanitizers and busy machines.
TEST(Tokenizer, HostileTextTakesLinearTime) {
  const Tokenizer tokenizer = Small("bytelevel-smollm");
  std::string pairs, mixed;
  for (int i = 0; i < 15000; ++i) pairs += "ab";
  Random random(1);
  for (int i = 0; i < 30000; ++i) mixed += " \n\t'a1!\xC2\xA0"[random.Below(7)];
  for (const std::string& text : {std::string(30000, 'a'), std::string(30000, ' '), std::string(30000, '\n') + "x",
                                  std::string(30000, '\''), std::string(30000, '7'), pairs, mixed})
    EXPECT_LT(SecondsToEncode(tokenizer, text), 2.0) << text.substr(0, 10);
}

TEST(Splitter, PiecesJoinToTheText) {
  const std::vector<std::string> alphabet = {" ",  "\n", "\t",     "a",      "é",      "1", "½",    "'",     "s",
                                             "ll", "!",  "\u3000", "\u180e", "\u0301", "😀", "\x01", "\u2028"};
  for (const SplitRule rule : {SplitRule::kGpt2, SplitRule::kSmolLm}) {
    const Splitter splitter(rule);
    Random random(2);
    for (int trial = 0; trial < 2000; ++trial) {
      std::string text, joined;
      for (uint64_t i = 0, n = random.Below(12); i < n; ++i) text += alphabet[random.Below(alphabet.size())];
      splitter.Split(text, [&](std::string_view piece) {
        EXPECT_FALSE(piece.empty());
        joined += piece;
      });
      ASSERT_EQ(joined, text);
    }
  }
}

// A tokenizer.json with one thing changed.
class Malformed : public ::testing::Test {
 protected:
  void Expect(std::vector<std::string_view> parts) {
    const auto path = folder_.Write("tokenizer.json", json_.dump());
    parts.push_back("tokenizer.json");
    EXPECT_TRUE(Fails([&] { Tokenizer::FromTokenizerJson(path); }, ErrorKind::kInput, parts));
    json_ = Fresh();
  }
  static Json Fresh() { return ReadJsonFile(TestData("text/bytelevel-smollm/tokenizer.json")); }

  TempFolder folder_;
  Json json_ = Fresh();
};

TEST_F(Malformed, Model) {
  json_["model"]["type"] = "Unigram", Expect({"Unigram", "byte-level BPE"});
  json_["model"]["ignore_merges"] = true, Expect({"ignore_merges"});
  json_["model"]["dropout"] = 0.1, Expect({"dropout"});
  json_["model"]["byte_fallback"] = true, Expect({"byte_fallback"});
  json_["model"] = 5, Expect({"model", "expected a JSON object"});
  json_.erase("model"), Expect({"\"model\" is missing"});
  json_["normalizer"] = {{"type", "NFC"}}, Expect({"NFC"});
  json_["model"]["unk_token"] = "<|endoftext|>", json_["model"]["vocab"].erase("ÿ"), Expect({"unk_token"});
  json_["normalizer"] = "NFC", Expect({"normalizer"});
}

TEST_F(Malformed, Vocabulary) {
  json_["model"]["vocab"]["zzz"] = -1, Expect({"vocab", "\"zzz\" is -1"});
  json_["model"]["vocab"]["zzz"] = 2000000000, Expect({"\"zzz\" is 2000000000"});
  json_["model"]["vocab"]["zzz"] = "7", Expect({"\"zzz\" is \"7\""});
  json_["model"]["vocab"]["zzz"] = 5, Expect({"id 5 is given twice"});
  json_["model"]["vocab"] = Json::array(), Expect({"vocab"});
}

TEST_F(Malformed, Merges) {
  json_["model"]["merges"][0] = {"zz", "qq"},
  Expect({"merge 0 (\"zz qq\")", "names a token that the vocabulary lacks"});
  json_["model"]["merges"][1] = "nospace", Expect({"merges[1] is not a pair"});
  json_["model"]["merges"][1] = " x", Expect({"merges[1] is not a pair"});
  json_["model"]["merges"][1] = 5, Expect({"merges[1] is not a pair"});
  json_["model"]["merges"][1] = {"a", "漢"}, Expect({"merge 1", "byte-level alphabet"});
  json_["model"]["merges"] = 5, Expect({"\"merges\" must be a list"});
}

TEST_F(Malformed, AddedTokens) {
  json_["added_tokens"][0]["id"] = -1, Expect({"added_tokens[0]", "\"id\" is -1"});
  json_["added_tokens"][0]["id"] = 1 << 30, Expect({"added_tokens[0]", "\"id\" is 1073741824"});
  json_["added_tokens"][0]["content"] = "", Expect({"is empty"});
  json_["added_tokens"][0]["lstrip"] = true, Expect({"added_tokens[0]", "lstrip"});
  json_["added_tokens"][1]["id"] = json_["added_tokens"][0]["id"], Expect({"is taken by another"});
  json_["added_tokens"][1] = "x", Expect({"added_tokens[1]", "expected a JSON object"});
  json_["added_tokens"] = Json::object(), Expect({"\"added_tokens\" must be a list"});
}

TEST_F(Malformed, PreTokenizer) {
  json_["pre_tokenizer"] = nullptr, Expect({"pre_tokenizer (none)"});
  json_["pre_tokenizer"] = {{"type", "Metaspace"}}, Expect({"pre_tokenizer (Metaspace)"});
  json_["pre_tokenizer"]["pretokenizers"][0]["individual_digits"] = false, Expect({"(Digits, ByteLevel)"});
  json_["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true, Expect({"with add_prefix_space"});
  json_["pre_tokenizer"]["pretokenizers"][1]["use_regex"] = false, Expect({"without its pattern"});
  json_["pre_tokenizer"]["pretokenizers"][1] = 5, Expect({"pretokenizers[1]"});
  json_["pre_tokenizer"]["pretokenizers"] = Json::array(), Expect({"pre_tokenizer (none)"});
  json_["pre_tokenizer"] = {{"type", 5}}, Expect({"\"type\" is 5"});
  // A pattern of the file's own, here one that would backtrack for ever, is never run.
  json_["pre_tokenizer"] = {{"type", "Split"}, {"pattern", {{"Regex", "(a+)+$"}}}, {"behavior", "Isolated"}},
  Expect({"pre_tokenizer (Split)"});
}

TEST_F(Malformed, PostProcessor) {
  json_["post_processor"] = {{"type", "BertProcessing"}}, Expect({"BertProcessing"});
  const Json sequence = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}},
             eos = {{"SpecialToken", {{"id", "<|im_end|>"}, {"type_id", 0}}}};
  json_["post_processor"] = {{"type", "TemplateProcessing"}, {"single", {sequence, eos}}},
  Expect({"adds tokens in a way"});
  json_["post_processor"] = {{"type", "TemplateProcessing"},
                             {"single", {{{"SpecialToken", {{"id", "<s>"}}}}, sequence}}},
  Expect({"\"<s>\" is none of the added tokens"});
}

TEST_F(Malformed, Files) {
  EXPECT_TRUE(Fails([&] { Tokenizer::FromTokenizerJson(folder_ / "none.json"); }, ErrorKind::kInput, {"none.json"}));
  const auto path = folder_.Write("tokenizer.json", json_.dump());
  folder_.Write("tokenizer_config.json", R"({"bos_token": 5})");
  EXPECT_TRUE(Fails([&] { Tokenizer::FromTokenizerJson(path); }, ErrorKind::kInput,
                    {"tokenizer_config.json: \"bos_token\" is 5"}));
  folder_.Write("tokenizer_config.json", R"({"chat_template": [{"name": 7}]})");
  EXPECT_TRUE(Fails([&] { Tokenizer::FromTokenizerJson(path); }, ErrorKind::kInput,
                    {"tokenizer_config.json: chat_template[0]"}));
}

TEST_F(Malformed, TheSettingsBeside) {
  const auto path = folder_.Write("tokenizer.json", json_.dump());
  folder_.Write(
      "tokenizer_config.json",
      R"({"bos_token": {"content": "<|im_start|>"}, "eos_token": "<|im_end|>", "add_bos_token": true, "chat_template": [{"name": "tool", "template": "x"}, {"name": "default", "template": "y"}]})");
  const Tokenizer tokenizer = Tokenizer::FromTokenizerJson(path);
  EXPECT_EQ(tokenizer.bos(), tokenizer.EncodeWithSpecial("<|im_start|>").front());
  EXPECT_EQ(tokenizer.eos(), tokenizer.EncodeWithSpecial("<|im_end|>").front());
  EXPECT_TRUE(tokenizer.add_bos());
  EXPECT_EQ(tokenizer.chat_template(), "y");
  folder_.Write("chat_template.jinja", "z");
  EXPECT_EQ(Tokenizer::FromTokenizerJson(path).chat_template(), "z");
}

TEST_F(Malformed, ATemplateThatAddsBos) {
  json_["post_processor"] =
      Json::parse(R"({"type":"Sequence","processors":[{"type":"ByteLevel"},{"type":"TemplateProcessing",
      "single":[{"SpecialToken":{"id":"<|im_start|>","type_id":0}},{"Sequence":{"id":"A","type_id":0}}]}]})");
  const Tokenizer tokenizer = Tokenizer::FromTokenizerJson(folder_.Write("tokenizer.json", json_.dump()));
  EXPECT_TRUE(tokenizer.add_bos());
  EXPECT_EQ(tokenizer.bos(), tokenizer.EncodeWithSpecial("<|im_start|>").front());
}

// ---------------------------------------------------------------------------------------------------------------------
// GGUF's fields

GgufVocabulary Vocabulary() {
  GgufVocabulary vocabulary;
  vocabulary.where = "m.gguf";
  vocabulary.model = "gpt2";
  vocabulary.pre = "smollm";
  vocabulary.tokens = {"<|end|>", "a", "b", "ab", "Ġ", "<user>"};
  vocabulary.token_types = {3, 1, 1, 1, 1, 4};
  vocabulary.merges = {"a b"};
  vocabulary.bos = vocabulary.eos = 0;
  return vocabulary;
}

TEST(GgufVocabulary, Encodes) {
  const Tokenizer tokenizer = Tokenizer::FromGguf(Vocabulary());
  EXPECT_EQ(tokenizer.vocab_size(), 6);
  EXPECT_EQ(tokenizer.Encode("ab ba"), (Ids{3, 4, 2, 1}));
  EXPECT_EQ(tokenizer.Encode("a<user>b"), (Ids{1, 5, 2}));  // user-defined: found in everybody's text
  EXPECT_EQ(tokenizer.EncodeWithSpecial("a<|end|>b"), (Ids{1, 0, 2}));
  EXPECT_TRUE(tokenizer.IsEndOfGeneration(0));
  EXPECT_FALSE(tokenizer.add_bos());
  EXPECT_EQ(tokenizer.Encode("acb"), Ids{3});  // no token for c: the reference leaves it out and merges what remains
  EXPECT_TRUE(tokenizer.Encode("c").empty());
}

TEST(GgufVocabulary, Malformed) {
  const auto refused = [](auto change, std::string_view part) {
    GgufVocabulary vocabulary = Vocabulary();
    change(vocabulary);
    return Fails([&] { Tokenizer::FromGguf(vocabulary); }, ErrorKind::kInput, {"m.gguf", part});
  };
  EXPECT_TRUE(refused([](auto& v) { v.model = "llama"; }, "tokenizer.ggml.model \"llama\""));
  EXPECT_TRUE(refused([](auto& v) { v.pre = "qwen2"; }, "tokenizer.ggml.pre \"qwen2\""));
  EXPECT_TRUE(refused([](auto& v) { v.token_types.pop_back(); }, "6 tokens but 5 token types"));
  EXPECT_TRUE(refused([](auto& v) { v.merges[0] = "a c"; }, "lacks"));
  EXPECT_TRUE(refused([](auto& v) { v.merges[0] = "ab"; }, "merges[0] is not a pair"));
  EXPECT_TRUE(refused([](auto& v) { v.tokens[2] = "a"; }, "two tokens have the same text"));
  EXPECT_TRUE(refused([](auto& v) { v.tokens[0] = ""; }, "is empty"));
  EXPECT_TRUE(refused([](auto& v) { v.bos = 6; }, "bos_token_id is 6, the vocabulary has 6 tokens"));
  EXPECT_TRUE(refused([](auto& v) { v.eos = -1; }, "eos_token_id is -1"));
  EXPECT_TRUE(refused([](auto& v) { v.tokens.clear(); }, "no tokens"));
}

// ---------------------------------------------------------------------------------------------------------------------
// tiktoken

TEST(Tiktoken, MergesByRank) {
  const TempFolder folder;
  // a b c ab abc: "abc" may come of "ab"+"c" only, for "bc" is no token
  const Tokenizer tokenizer =
      Tokenizer::FromTiktoken(folder.Write("x.tiktoken", "YQ== 0\nYg== 1\nYw== 2\nYWI= 3\nYWJj 4\n"));
  EXPECT_EQ(tokenizer.vocab_size(), 6);
  EXPECT_EQ(tokenizer.Encode("abcbab"), (Ids{4, 1, 3}));
  EXPECT_EQ(tokenizer.EncodeWithSpecial("a<|endoftext|>"), (Ids{0, 5}));
  EXPECT_EQ(tokenizer.eos(), std::optional<TokenId>(5));
}

TEST(Tiktoken, Malformed) {
  const TempFolder folder;
  const auto refused = [&](std::string_view text, const std::vector<std::string_view>& parts) {
    const auto path = folder.Write("x.tiktoken", text);
    return Fails([&] { Tokenizer::FromTiktoken(path); }, ErrorKind::kInput, parts);
  };
  EXPECT_TRUE(refused("", {"x.tiktoken: holds no tokens"}));
  EXPECT_TRUE(refused("YQ==\n", {"x.tiktoken:1: expected a base64 token and its rank"}));
  EXPECT_TRUE(refused("YQ== 0\nYg== x\n", {"x.tiktoken:2: the rank is not a number"}));
  EXPECT_TRUE(refused("YQ== -1\n", {"x.tiktoken:1: the rank is not a number"}));
  EXPECT_TRUE(refused("YQ== 99999999\n", {"x.tiktoken:1: rank 99999999 where 0 was expected"}));
  EXPECT_TRUE(refused("Y!== 0\n", {"x.tiktoken:1: not base64"}));
  EXPECT_TRUE(refused("= 0\n", {"x.tiktoken:1: an empty token"}));
  EXPECT_TRUE(refused("YQ== 0\nYQ== 1\n", {"two tokens have the same text"}));
}

}  // namespace
}  // namespace qad
