#include "report/report.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <tuple>
#include <vector>

#include "base/files.h"
#include "base/hash.h"
#include "base/test_files.h"
#include "report/benchmark_tables.h"
#include "report/charts.h"
#include "results/testing.h"

namespace qad {
namespace {

namespace fs = std::filesystem;

const fs::path kGoldens = fs::path(QAD_TESTDATA) / "report";

// The made-up pack with the decision that decide_test made of it.
Pack MakePack() {
  SyntheticPack synthetic = MakeSyntheticPack();
  return {synthetic.results, synthetic.samples, synthetic.memory, ReadDecision(kGoldens / "decision.json")};
}

// Opening and closing tags match, attributes are quoted, no bare & or <: what an XML parser would ask of this subset.
::testing::AssertionResult WellFormed(const std::string& text) {
  std::vector<std::string> open;
  for (size_t at = 0; at < text.size(); ++at) {
    if (text[at] == '&') {
      const size_t end = text.find(';', at);
      if (end == std::string::npos || end - at > 6) return ::testing::AssertionFailure() << "bare & at " << at;
    }
    if (text[at] == '>')
      return ::testing::AssertionFailure() << "bare > near " << text.substr(at > 40 ? at - 40 : 0, 60);
    if (text[at] != '<') continue;
    const size_t end = text.find('>', at);
    if (end == std::string::npos) return ::testing::AssertionFailure() << "tag without end at " << at;
    const std::string tag = text.substr(at + 1, end - at - 1);
    if (tag.find('<') != std::string::npos) return ::testing::AssertionFailure() << "< within tag " << tag;
    if (std::count(tag.begin(), tag.end(), '"') % 2) return ::testing::AssertionFailure() << "open quote in " << tag;
    const std::string name = tag.substr(tag[0] == '/' ? 1 : 0, tag.find_first_of(" /", 1) - (tag[0] == '/' ? 1 : 0));
    if (tag[0] == '/') {
      if (open.empty() || open.back() != tag.substr(1)) return ::testing::AssertionFailure() << "unexpected </" << tag;
      open.pop_back();
    } else if (tag[0] != '!' && tag.back() != '/') {
      open.push_back(name);
    }
    at = end;
  }
  if (!open.empty()) return ::testing::AssertionFailure() << "<" << open.back() << "> is never closed";
  return ::testing::AssertionSuccess();
}

// QAD_UPDATE_GOLDENS=1 writes the golden.
void ExpectGolden(const std::string& name, const std::string& text) {
  if (std::getenv("QAD_UPDATE_GOLDENS")) WriteFileAtomic(kGoldens / name, text);
  EXPECT_EQ(ReadTextFile(kGoldens / name), text) << name << ": QAD_UPDATE_GOLDENS=1 writes it anew";
}

TEST(Report, PagesEqualTheirGoldens) {
  const Pack pack = MakePack();
  ExpectGolden("decision_memo.md", RenderMarkdown(MemoPage(pack)));
  ExpectGolden("benchmark_results.md", RenderMarkdown(BenchmarkPage(pack)));
  ExpectGolden("memory_math.md", RenderMarkdown(MemoryPage(pack)));
}

TEST(Report, WritesFourFiles) {
  const TempFolder temporary;
  const fs::path folder = temporary / "pack";
  WritePack(MakePack(), folder);
  for (const char* name : {"memory_math.md", "benchmark_results.md", "decision_memo.md", "report.html"})
    EXPECT_GT(ReadTextFile(folder / name).size(), 2000u) << name;
  std::string html = ReadTextFile(folder / "report.html");
  for (const char* forbidden : {"<script", "http:", "https:", "url(", "@import"}) {
    size_t count = 0;
    for (size_t at = html.find(forbidden); at != std::string::npos; at = html.find(forbidden, at + 1))
      count += html.compare(at, 18, "http://www.w3.org/") != 0;  // names of XML dialects, never fetched
    EXPECT_EQ(count, 0u) << forbidden;
  }
  const size_t style = html.find("<style>"), end = html.find("</style>");
  html.erase(style, end + 8 - style);
  EXPECT_TRUE(WellFormed(html));
}

TEST(Report, EscapesWhatModelsSay) {
  Pack pack = MakePack();
  for (Sample& sample : pack.samples) sample.output = "<script>alert('&')</script> | \x01 `x`";
  const std::string html = RenderHtml("x", {SamplesPage(pack)});
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_NE(html.find("&lt;script&gt;alert(&#39;&amp;&#39;)"), std::string::npos);
  EXPECT_EQ(html.find('\x01'), std::string::npos);
}

// The policy allows one style sheet, by its hash, and nothing else; so nothing else may be there.
TEST(Report, AllowsItsOwnStyleSheetAlone) {
  const TempFolder folder;
  WritePack(MakePack(), folder.path());
  const std::string html = ReadTextFile(folder / "report.html");
  const std::string begin = "<meta http-equiv=\"Content-Security-Policy\" content=\"";
  const size_t policy = html.find(begin), style = html.find("<style>"), end = html.find("</style>");
  ASSERT_NE(policy, std::string::npos);
  ASSERT_LT(policy, style) << "a policy speaks of what follows it";
  ASSERT_LT(style, end);
  const size_t from = policy + begin.size();
  EXPECT_EQ(html.substr(from, html.find('"', from) - from),
            fmt::format("default-src 'none'; style-src 'sha256-{}'; base-uri 'none'; form-action 'none'",
                        Sha256Base64(html.substr(style + 7, end - style - 7))));
  EXPECT_EQ(html.find("<style", style + 1), std::string::npos);
  for (const char* forbidden : {" style=\"", "<script", "<base", "<form", "<link", " onload"})
    EXPECT_EQ(html.find(forbidden), std::string::npos) << forbidden;
}

TEST(Report, ShowsWhatWouldTurnTheDirectionOfText) {
  EXPECT_EQ(EscapeHtml("a\u202Eb\u2066"), "a\\u202Eb\\u2066");
  for (const char* control : {"\u061C", "\u200E", "\u200F", "\u202A", "\u202B", "\u202C", "\u202D", "\u202E", "\u2066",
                              "\u2067", "\u2068", "\u2069"}) {
    const std::string escaped = EscapeHtml(control);
    EXPECT_EQ(escaped.size(), 6u) << escaped;
    EXPECT_TRUE(escaped.starts_with("\\u")) << escaped;
  }
  for (const char* other :
       {"\u200D", "\u2010", "\u2029", "\u202F", "\u2065", "\u206A", "\u05D0", "\xE2\x80", "\xE2", "…"})
    EXPECT_EQ(EscapeHtml(other), other);
  Pack pack = MakePack();
  for (Sample& sample : pack.samples) sample.output = "right\u202Egnorw";
  const std::string html = RenderHtml("x", {SamplesPage(pack)});
  EXPECT_EQ(html.find("\u202E"), std::string::npos);
  EXPECT_NE(html.find("right\\u202Egnorw"), std::string::npos);
}

TEST(Report, LivesWithNothingMeasured) {
  const Pack empty;
  for (const Document& page : {MemoPage(empty), BenchmarkPage(empty), MemoryPage(empty), SamplesPage(empty)})
    EXPECT_FALSE(RenderMarkdown(page).empty());
  Pack bare = MakePack();
  bare.results.rows.clear();
  bare.results.comparisons.clear();
  bare.samples.clear();
  bare.memory.reset();
  const std::string text = RenderMarkdown(BenchmarkPage(bare)) + RenderMarkdown(MemoryPage(bare));
  EXPECT_NE(text.find("Speed was not measured"), std::string::npos);
  EXPECT_NE(text.find("was not computed in this run"), std::string::npos);
}

TEST(Report, MarksPartialRuns) {
  Pack pack = MakePack();
  pack.results.partial = true;
  for (const Document& page : {MemoPage(pack), BenchmarkPage(pack), MemoryPage(pack)})
    EXPECT_NE(RenderMarkdown(page).find("Partial run"), std::string::npos) << page.title;
}

// There are eight colours: two arms of a map never share one, as they would by their places in the list.
TEST(Report, WinnersOfAMapDifferInColour) {
  Pack pack = MakePack();
  while (pack.results.arms.size() < 9) pack.results.arms.emplace_back().name = "other";
  pack.results.arms[8].name = "ninth";
  for (size_t row = 0; row < pack.decision->map.winners.size(); ++row)
    for (std::string& winner : pack.decision->map.winners[row]) winner = pack.results.arms[row == 0 ? 0 : 8].name;
  const std::string html = RenderHtml("x", {MemoPage(pack)});
  EXPECT_NE(html.find("cell c0"), std::string::npos);
  EXPECT_NE(html.find("cell c1"), std::string::npos);
}

TEST(Report, NamesTheConfidenceOfTheSettings) {
  Pack pack = MakePack();
  pack.results.settings["eval"] = {{"confidence", 0.9}};
  const std::string text = RenderMarkdown(BenchmarkPage(pack));
  EXPECT_NE(text.find("points (90% interval)"), std::string::npos);
  EXPECT_EQ(text.find("95% interval"), std::string::npos);
}

TEST(Report, GathersTopicsWithoutASliceInOneSentence) {
  Pack pack = MakePack();
  pack.decision->topics.resize(1);
  for (const char* topic : {"stable facts", "changing facts"}) pack.decision->topics.emplace_back().topic = topic;
  const std::string text = RenderMarkdown(MemoPage(pack));
  EXPECT_NE(text.find("Not evaluated here: stable facts, changing facts."), std::string::npos);
}

TEST(Report, NobodyLeadsWithNothing) {
  Pack pack = MakePack();
  pack.decision->topics[0].value = 0;
  const std::string text = RenderMarkdown(MemoPage(pack));
  EXPECT_NE(text.find("No arm has anything right"), std::string::npos);
  EXPECT_EQ(text.find(pack.decision->topics[0].winner + " leads with 0"), std::string::npos);
}

TEST(Report, SaysWhereTheSmallestArtefactIsNotSmaller) {
  Pack pack = MakePack();
  const auto text = [&] { return RenderMarkdown(MemoPage(pack)); };
  ASSERT_EQ(pack.decision->quantization[0].verdict, "equivalent");
  EXPECT_EQ(text().find("which is not smaller than the base"), std::string::npos);
  pack.decision->quantization[0].weights_bytes = pack.decision->quantization[0].base_weights_bytes;
  EXPECT_NE(text().find("which is not smaller than the base"), std::string::npos);
}

TEST(Report, SaysWhatTokensWereNotCountedByTheEndpoint) {
  Pack pack = MakePack();
  const auto add = [&](const char* metric, double value) {
    Row row;
    row.arm = "base";
    row.slice = kTokensSlice;
    row.metric = metric;
    row.value = value;
    pack.results.rows.push_back(row);
  };
  const auto tokens = [&] { return TokensTable(pack); };
  const size_t columns = tokens().columns.size();
  add("skipped_items", 0);
  EXPECT_EQ(tokens().columns.size(), columns);
  pack.results.rows.back().value = 7;
  EXPECT_EQ(tokens().columns.back().title, "skipped items");
  EXPECT_TRUE(tokens().caption.empty());
  add("missing_usage", 1234);
  add("doubtful_usage", 56);
  const Table table = tokens();
  const auto last_three = [](const std::vector<Text>& cells) {
    std::vector<std::string> texts;
    for (auto cell = cells.end() - 3; cell != cells.end(); ++cell) texts.push_back(cell->spans.at(0).text);
    return texts;
  };
  EXPECT_EQ(table.columns.size(), columns + 3);
  EXPECT_EQ(last_three(table.rows[0]), (std::vector<std::string>{"7", "1,234", "56"}));
  EXPECT_EQ(last_three(table.rows[1]), (std::vector<std::string>{"0", "0", "0"}));
  EXPECT_NE(RenderMarkdown(BenchmarkPage(pack)).find("the base's tokenizer counts"), std::string::npos);
}

TEST(Report, HoldsEstimatesBesideWhatWasFound) {
  Pack pack = MakePack();
  const auto add = [&](const char* metric, double value) {
    Row row;
    row.arm = "auto:90MB";
    row.slice = kQuantizeSlice;
    row.metric = metric;
    row.value = value;
    pack.results.rows.push_back(row);
  };
  add("seconds", 100);
  add("estimated_kl_divergence", 0.0123);
  add("held_out_kl_divergence", 0.0456);
  const std::string text = RenderMarkdown(BenchmarkPage(pack));
  EXPECT_NE(text.find("0.0123"), std::string::npos);
  EXPECT_NE(text.find("0.0456"), std::string::npos);
}

TEST(Report, SaysWhereNoFloorIsSet) {
  Pack pack = MakePack();
  pack.decision->required.clear();
  EXPECT_NE(RenderMarkdown(MemoPage(pack)).find("No floor is set"), std::string::npos);
}

TEST(Report, ShowsAnswersGivenTheRightPassage) {
  Pack pack = MakePack();
  const std::string slice(kRetrievalSlice);
  std::erase_if(pack.results.rows, [](const Row& row) { return row.metric == "right_given_passage"; });
  pack.results.rows.push_back({"base + rag", slice, "right_given_passage", 0.8, 0.7, 0.9, 68});
  pack.results.rows.push_back({"base + rag", slice, "stale_given_passage", 0.05, 0.02, 0.12, 68});
  const std::string text = RenderMarkdown(BenchmarkPage(pack));
  EXPECT_NE(text.find("right, given the passage"), std::string::npos);
  EXPECT_NE(text.find("stale, despite it"), std::string::npos);
  EXPECT_NE(text.find("80.0% (70.0–90.0)"), std::string::npos);
}

TEST(Report, PutsWhatOthersPublishedBesideOurs) {
  Pack pack = MakePack();
  pack.results.manifest["published"] = {
      {{"row", "fp16-style"}, {"gigabytes", 0.000191}, {"tokens_per_second", 2160.038}, {"note", "2 bytes per weight"}},
      {{"row", "local int8"}, {"arm", "int8"}, {"gigabytes", 0.000189}, {"tokens_per_second", 1968.874}},
      {{"row", "LoRA runtime"}, {"gigabytes", 0.000385}, {"tokens_per_second", 2050.982}}};
  const std::string text = RenderMarkdown(BenchmarkPage(pack));
  EXPECT_NE(text.find("0.000191"), std::string::npos);
  EXPECT_NE(text.find("2160.038"), std::string::npos);
  EXPECT_NE(text.find("2 bytes per weight"), std::string::npos);
  const size_t row = text.find("| local int8");
  ASSERT_NE(row, std::string::npos);
  EXPECT_NE(text.substr(row, 200).find("| int8"), std::string::npos) << text.substr(row, 200);
}

// A pack of one arm that looks passages up, with these rows of retrieval.
Pack RetrievalPack(const std::vector<std::tuple<const char*, double, int64_t>>& rows) {
  Pack pack;
  ArmInfo& arm = pack.results.arms.emplace_back();
  arm.name = "base + rag";
  arm.prompting = "rag";
  for (const auto& [metric, value, n] : rows)
    pack.results.rows.push_back({arm.name, std::string(kRetrievalSlice), metric, value, {}, {}, n});
  return pack;
}

TEST(Report, SaysAtWhichStageQuestionsAreLost) {
  Pack pack = RetrievalPack({{"recall_at_1", 0.725, 80},
                             {"recall_at_3", 0.8875, 80},
                             {"mrr", 0.798, 80},
                             {"refusal_threshold", 0.37, 55},
                             {"right_given_passage", 26.0 / 61, 61}});
  for (int i = 0; i < 30; ++i) {
    Sample& sample = pack.samples.emplace_back();
    sample.arm = "base + rag";
    sample.scores = {{"citation", i % 2}, {"contains", i < 20}};
  }
  const std::string text = RenderMarkdown(BenchmarkPage(pack));
  EXPECT_NE(text.find("With base + rag, retrieval loses 9 of 80 questions, the threshold 10, the model 35 and the "
                      "citation 16; the largest loss is by the model."),
            std::string::npos);
  EXPECT_NE(text.find("| right passage among 3 | not refused by the threshold | answered right | right and cited |"),
            std::string::npos);
  EXPECT_NE(text.find(" 80 (100%) |"), std::string::npos);
  for (const char* cell : {"71 (88.8%)", "61 (76.2%)", "26 (32.5%)", "10 (12.5%)"})
    EXPECT_NE(text.find(cell), std::string::npos) << cell;
  EXPECT_NE(text.find("recall@1 | recall@3 |"), std::string::npos);
}

TEST(Report, LeavesOutStagesThatWereNotMeasured) {
  const Pack pack = RetrievalPack({{"recall_at_1", 0.5, 80}, {"recall_at_5", 0.75, 80}});
  const std::string text = RenderMarkdown(BenchmarkPage(pack));
  EXPECT_NE(text.find("With base + rag, retrieval loses 20 of 80 questions."), std::string::npos);
  for (const char* stage : {"answered right", "not refused", "most lost by", "cited"})
    EXPECT_EQ(text.find(stage), std::string::npos) << stage;
}

TEST(Report, DrawsOnceWhatIsTheSameForAllArms) {
  const std::string html = RenderHtml("x", {BenchmarkPage(MakePack())});
  const size_t funnel = html.find("<title>Retrieval funnel</title>");
  ASSERT_NE(funnel, std::string::npos);
  const std::string svg = html.substr(funnel, html.find("</svg>", funnel) - funnel);
  const auto count = [&](const std::string& what) {
    int found = 0;
    for (size_t at = svg.find(what); at != std::string::npos; at = svg.find(what, at + 1)) ++found;
    return found;
  };
  EXPECT_EQ(count("every arm"), 2);     // asked, and found
  EXPECT_EQ(count(">lora + rag<"), 2);  // right, and cited
}

TEST(Report, SplitsRightAnswersByOverlap) {
  Pack pack = RetrievalPack({{"recall_at_1", 0.5, 30}, {"recall_at_3", 0.75, 30}});
  for (int i = 0; i < 30; ++i) {
    Sample& sample = pack.samples.emplace_back();
    sample.arm = "base + rag";
    sample.slice = i % 2 ? "facts/stable" : "facts/changed";
    sample.cluster = fmt::format("fact {}", i);
    sample.scores = {{"contains", i % 4 == 0}};
  }
  EXPECT_EQ(RenderMarkdown(BenchmarkPage(pack)).find("lexical overlap"), std::string::npos);
  for (int i = 0; i < 24; ++i) pack.samples[i].overlap = i < 16 ? "high" : "low";
  const std::string text = RenderMarkdown(BenchmarkPage(pack)), table = text.substr(text.find("By lexical overlap"));
  const size_t low = table.find(" low |"), high = table.find(" high |");
  EXPECT_LT(low, high);
  ASSERT_NE(high, std::string::npos);
  EXPECT_NE(table.find("| base + rag | facts | 25.0% (7.1–59.1), n = 8 | 25.0% (10.2–49.5), n = 16 |"),
            std::string::npos);
}

TEST(Report, SaysWhichFiguresRestOnFewerItems) {
  Pack pack = MakePack();
  std::erase_if(pack.results.rows, [](const Row& row) { return row.metric == "citation"; });
  const auto text = [&] {
    Document page{"x", "x", {}};
    page.Add(SliceTable(pack, "facts/stable"));
    return RenderMarkdown(page);
  };
  EXPECT_EQ(text().find("n ="), std::string::npos);
  pack.results.rows.push_back({"base + rag", "facts/stable", "citation", 0.765, 0.527, 0.904, 17});
  pack.results.rows.push_back({"lora + rag", "facts/stable", "citation", 0.8, 0.7, 0.9, 40});
  EXPECT_NE(text().find("76.5% (52.7–90.4), n = 17 |"), std::string::npos);
  EXPECT_NE(text().find("80.0% (70.0–90.0) |"), std::string::npos);
}

TEST(Report, ListsTheFirstLeaks) {
  Pack pack = MakePack();
  const auto text = [&] { return RenderMarkdown(BenchmarkPage(pack)); };
  Json& leaks = pack.results.manifest["leaks"] = Json::array();
  EXPECT_EQ(text().find("## Leaks"), std::string::npos);
  EXPECT_NE(text().find("| `leaks`"), std::string::npos);  // that there are none
  for (int i = 1; i <= 20; ++i)
    leaks.push_back({{"item", fmt::format("item-{}", i)},
                     {"corpus", "train of lora"},
                     {"other", fmt::format("twin-{}", i)},
                     {"kind", "near"},
                     {"similarity", 0.875}});
  EXPECT_NE(text().find("| item-20 | train of lora | twin-20 | near |       0.88 |"), std::string::npos);
  EXPECT_EQ(text().find("more, in results.json"), std::string::npos);
  leaks.insert(leaks.end(), 2, {{"item", "another"}});
  EXPECT_NE(text().find("And 2 more, in results.json."), std::string::npos);
  EXPECT_EQ(text().find("another"), std::string::npos);
}

TEST(Markdown, AlignsAndEscapes) {
  Document page{"Title", "t", {}};
  page.Add(Table{{{"a"}, {"b", Align::kRight}}, {{"x | y", "1"}, {CodeText("p|q"), "−22.5"}}, "", {}});
  EXPECT_EQ(RenderMarkdown(page),
            "# Title\n\n"
            "| a      |     b |\n"
            "| ------ | ----: |\n"
            "| x \\| y |     1 |\n"
            "| `p\\|q` | −22.5 |\n");
}

TEST(Charts, AreWellFormedWhateverTheirData) {
  const TickFormat plain{[](double value) { return std::to_string(value); }};
  std::vector<ChartPoint> points(3);
  points[0].name = "<a & b>";
  points[1].x = points[1].low = points[1].value = points[1].high = 0.5;
  EXPECT_TRUE(WellFormed(ParetoChart("<t>", "x", "y", points, plain, 0.6)));
  EXPECT_TRUE(WellFormed(IntervalChart("t", points, {})));
  EXPECT_TRUE(WellFormed(FunnelChart("<t>", {{"a & b", {{"<arm>", {}, 1, "1"}, {"arm", 2, NAN, "<"}}}})));
  EXPECT_TRUE(WellFormed(LineChart("t", "x", "y", {{"one", 0, {{1, 1}}, false, true}}, plain, plain)));
  EXPECT_TRUE(WellFormed(MapChart("t", "x", "y", {{"1"}, {"2"}, {{0}}, {"arm"}, {0}, 0, 0})));
  EXPECT_EQ(LineChart("t", "x", "y", {}, plain, plain), "");
}

TEST(Report, WarnsOfFormsThatLostBehaviour) {
  DeploymentAnswer answer;
  answer.arm = "lora merged gptq-3";
  answer.adapter = "lora";
  answer.verdict = "kept";
  EXPECT_EQ(DeploymentWarning(answer), "");
  answer.verdict = "differs";
  answer.kl = 0.5;
  EXPECT_NE(DeploymentWarning(answer).find("KL divergence 0.500"), std::string::npos) << DeploymentWarning(answer);
  answer.verdict = "lost";
  answer.basis = "behaviour −30.0 points (−40.0 to −20.0)";
  EXPECT_NE(DeploymentWarning(answer).find("train on quantized weights"), std::string::npos);
  answer.remedy = "qlora";
  const std::string warning = DeploymentWarning(answer);
  EXPECT_NE(warning.find("has lost behaviour: behaviour −30.0 points"), std::string::npos) << warning;
  EXPECT_NE(warning.find("qlora"), std::string::npos) << warning;
}

}  // namespace
}  // namespace qad
