// What a page of the pack is made of. Pages are built once as a Document and rendered to Markdown and to HTML, so the
// two cannot tell different stories. Nothing here is markup: renderers escape all text.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

namespace qad {

// kGood, kBad and kUnsure are words of judgement: coloured in HTML, plain in Markdown.
enum class Style : uint8_t { kPlain, kStrong, kCode, kMuted, kGood, kBad, kUnsure };

struct Span {
  std::string text;
  Style style = Style::kPlain;
};

// Running text in several styles. Plain strings convert.
struct Text {
  Text() = default;
  Text(const char* text) : Text(std::string(text)) {}  // NOLINT(google-explicit-constructor)
  Text(std::string text, Style style = Style::kPlain) { spans.push_back({std::move(text), style}); }  // NOLINT
  Text& operator+=(const Text& more) {
    spans.insert(spans.end(), more.spans.begin(), more.spans.end());
    return *this;
  }
  std::vector<Span> spans;
};
inline Text operator+(Text first, const Text& second) { return first += second; }
inline Text Strong(std::string text) { return {std::move(text), Style::kStrong}; }
inline Text CodeText(std::string text) { return {std::move(text), Style::kCode}; }
inline Text Muted(std::string text) { return {std::move(text), Style::kMuted}; }

// The word in the style of what it says: "pass", "better", "shown", "equivalent" are good, "fail", "worse", "not shown"
// bad, everything else unsure.
Text VerdictText(const std::string& word);

struct Heading {
  int level = 2;
  std::string text;
};

enum class Tone : uint8_t { kBody, kLead, kNote, kWarning };
struct Paragraph {
  Text text;
  Tone tone = Tone::kBody;
};

struct Bullets {
  std::vector<Text> items;
};

struct CodeBlock {
  std::vector<std::string> lines;  // of a shell
};

enum class Align : uint8_t { kLeft, kRight, kCenter };
struct Column {
  std::string title;
  Align align = Align::kLeft;
};
struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<Text>> rows;  // as many cells as columns
  std::string caption;
  std::optional<size_t> chosen;  // the row of the recommended arm
};

// A chart: HTML only, because it repeats what the tables of the page say.
struct Picture {
  std::string svg;
  std::string caption;
};

// Something to open on demand.
struct Fold {
  std::string summary;
  std::vector<Table> tables;
};

using Block = std::variant<Heading, Paragraph, Bullets, CodeBlock, Table, Picture, Fold>;

struct Document {
  std::string title;
  std::string anchor;  // id in HTML: "memo"
  std::vector<Block> blocks;

  void Section(std::string text);
  void Subsection(std::string text);
  void Say(Text text, Tone tone = Tone::kBody);
  void Add(Bullets bullets);
  void Add(CodeBlock code);
  void Add(Table table);
  void Add(Picture picture);
  void Add(Fold fold);
};

// GitHub-flavoured Markdown; columns of tables are aligned in the source too.
std::string RenderMarkdown(const Document& document);

// One page with all documents after each other: no scripts, no network, well-formed XML.
std::string RenderHtml(const std::string& title, const std::vector<Document>& documents);

// &, <, >, quotes; characters that XML cannot hold become U+FFFD, and those that would turn the direction of what
// stands around them (Bidi_Control of UAX #9) visible: \u202E.
std::string EscapeHtml(std::string_view text);

}  // namespace qad
