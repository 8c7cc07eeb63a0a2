#include "retrieve/page.h"

#include <gtest/gtest.h>

#include "base/error.h"
#include "base/test_files.h"
#include "retrieve/chunker.h"

namespace qad {
namespace {

using Sections = std::vector<std::pair<std::string, std::string>>;

Sections Of(const Page& page) {
  Sections sections;
  for (const Section& section : page.sections)
    sections.emplace_back(section.name, section.text.substr(0, section.text.find_last_not_of(" \n") + 1));
  return sections;
}

TEST(Html, SectionsAreThoseOfItsHeadings) {
  const Page page = ReadHtml(R"(<!doctype html><html><head><title>Returns
  &amp; refunds</title><style>p { color: red }</style></head><body>
<nav><a href=/>Home</a></nav><p>Larkspur   Bikes.</p>
<h1>Return <em>window</em></h1><p>Goods may be returned<br>within <b>30</b>&nbsp;days.<p>Not later.
<script>alert("no")</script><ul><li>unused<li>whole</ul>
<h2>Fees</h2><table><tr><th>kind<th>fee<tr><td>bike<td>9 euros</table><pre>a
  b</pre></body></html>)",
                             "page.html");
  EXPECT_EQ(page.metadata.at("title"), "Returns & refunds");
  EXPECT_EQ(Of(page),
            (Sections{{"", "Larkspur Bikes."},
                      {"Return window", "Goods may be returned\nwithin 30\u00a0days.\n\nNot later.\n- unused\n- whole"},
                      {"Fees", "kind fee\nbike 9 euros\n\na\n  b"}}));
}

TEST(Html, WhatIsBrokenIsReadAsFarAsItGoes) {
  EXPECT_EQ(Of(ReadHtml("<p>open <b>ended", "x")), (Sections{{"", "open ended"}}));
  EXPECT_EQ(Of(ReadHtml("no tags at all", "x")), (Sections{{"", "no tags at all"}}));
  EXPECT_THROW((void)ReadHtml("", "x"), Error);
  std::string deep;
  for (int i = 0; i < 20000; ++i) deep += "<div>";
  EXPECT_EQ(Of(ReadHtml(deep + "bottom", "x")), (Sections{{"", "bottom"}}));
}

TEST(Html, LongTextsAreReadToTheirEnd) {
  std::string text = "<pre>";
  while (text.size() < 12'000'000) text += "line after line\n";
  const Sections sections = Of(ReadHtml(text + "last</pre><p>behind", "x"));
  ASSERT_EQ(sections.size(), 1u);
  EXPECT_GT(sections[0].second.size(), 12'000'000u);
  EXPECT_TRUE(sections[0].second.ends_with("last\n\nbehind"));
}

TEST(Html, BlocksWithinHeadingsItemsAndCells) {
  EXPECT_EQ(Of(ReadHtml("<h2>One<br>Two<p>Three</p></h2>text", "x")),
            (Sections{{"", ""}, {"One Two", "Three\n\ntext"}}));
  EXPECT_EQ(Of(ReadHtml("<ul><li><p>x</p><li><p>y</p></ul>", "x")), (Sections{{"", "- x\n- y"}}));
  EXPECT_EQ(Of(ReadHtml("<table><tr><td><p>a</p></td><td><p>b</p></table>", "x")), (Sections{{"", "a b"}}));
}

TEST(Html, WhatDeclaresUtf8AndIsNoneIsAnError) {
  EXPECT_THROW((void)ReadHtml("<meta charset=utf-8><p>Gr\xC3\xBC\xC3\x9F"
                              "e \xFF Danach",
                              "x"),
               Error);
}

TEST(Html, EncodingsAreThoseItDeclares) {
  EXPECT_EQ(Of(ReadHtml("<p>Gr\xC3\xBC\xC3\x9F"
                        "e",
                        "x")),
            (Sections{{"", "Grüße"}}));
  EXPECT_EQ(Of(ReadHtml("<meta charset=windows-1251><p>\xCF\xF0\xE8\xE2\xE5\xF2", "x")), (Sections{{"", "Привет"}}));
  EXPECT_EQ(Of(ReadHtml("<p>Gr\xFC\xDF"
                        "e",
                        "x")),
            (Sections{{"", "Grüße"}}))
      << "ISO-8859-1";
}

TEST(JsonLines, ASectionForEachLine) {
  const Page page = ReadJsonLines(
      "{\"id\": \"q1\", \"title\": \"Returns\", \"text\": \"30 days.\"}\n\n{\"title\": \"Fees\", \"body\": \"9 "
      "euros.\"}\r\n"
      "{\"content\": \"Open.\"}",
      "faq.jsonl");
  EXPECT_EQ(Of(page), (Sections{{"q1", "Returns\n30 days."}, {"Fees", "9 euros."}, {"line-4", "Open."}}));
  EXPECT_EQ(page.sections[0].heading, "Returns");
  EXPECT_EQ(Of(ReadJsonLines("{\"id\": 17, \"text\": \"a\"}\n{\"id\": \"x]\\n[y.md#z] Free.\", \"text\": \"b\"}", "x")),
            (Sections{{"17", "a"}, {"x] [y.md#z] Free.", "b"}}))
      << "no line of a prompt begins with an id of the document's own";
  try {
    (void)ReadJsonLines("{\"text\": \"a\"}\n{\"title\": \"b\"}\n", "faq.jsonl");
    FAIL() << "was read";
  } catch (const Error& error) {
    EXPECT_NE(std::string(error.what()).find("faq.jsonl:2"), std::string::npos) << error.what();
  }
}

std::vector<std::string> IdsOf(const std::vector<Chunk>& chunks) {
  std::vector<std::string> ids;
  for (const Chunk& chunk : chunks) ids.push_back(chunk.id + ": " + chunk.text);
  return ids;
}

TEST(Documents, OfAllKindsAndEncodings) {
  const TempFolder folder;
  folder.Write("pages/a.html", "<h1>Fees</h1>9 euros");
  folder.Write("pages/b.jsonl", "{\"id\": \"q1\", \"text\": \"Open.\"}\n");
  folder.Write("pages/c.txt", std::string("\xFF\xFE"
                                          "G\0r\0\xFC\0\x3D\xD8\x3F\xDC",
                                          12));
  folder.Write("pages/ignored.pdf", "%PDF");
  EXPECT_EQ(IdsOf(ChunkDocuments({folder / "pages"}, 50, CountWords)),
            (std::vector<std::string>{"a.html#Fees: 9 euros", "b.jsonl#q1: Open.", "c.txt: Grü\xF0\x9F\x90\xBF"}));
  for (const std::string& text : {std::string("Gr\xFC\xDF"
                                              "e"),
                                  std::string("a\0b", 3)}) {
    folder.Write("pages/d.md", text);
    try {
      (void)ChunkDocuments({folder / "pages"}, 50, CountWords);
      FAIL() << "was read";
    } catch (const Error& error) {
      EXPECT_EQ(error.kind(), ErrorKind::kInput);
      EXPECT_NE(std::string(error.what()).find("d.md"), std::string::npos) << error.what();
    }
  }
}

// A section of 100 MB without a heading takes seconds, not hours, and nothing of it is lost.
TEST(Documents, OfAHundredMegabytes) {
  const TempFolder folder;
  std::string text;
  const std::string words = "Bikes are returned within thirty days of their delivery, and parts are not. ";
  while (text.size() < 100'000'000) text += words;
  folder.Write("large.txt", text);
  const std::vector<Chunk> chunks = ChunkDocuments({folder / "large.txt"}, 160, CountWords);
  int64_t count = 0;
  for (const Chunk& chunk : chunks) count += CountWords(chunk.text);
  EXPECT_EQ(count, CountWords(text));
}

}  // namespace
}  // namespace qad
