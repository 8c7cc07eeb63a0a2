#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "report/document.h"

namespace qad {
namespace {

// Characters that Markdown would read as markup. Underscores within words mean nothing to GitHub's.
std::string Escape(const std::string& text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n' || c == '\r') {
      out += ' ';
      continue;
    }
    const bool tag = c == '<' && i + 1 < text.size() && !std::isspace(static_cast<unsigned char>(text[i + 1]));
    if (tag || c == '\\' || c == '`' || c == '*' || c == '|' || c == '[' || c == ']') out += '\\';
    if (c == '&') {
      out += "&amp;";
      continue;
    }
    out += c;
  }
  return out;
}

// A code span; the fence is longer than any run of backticks within.
std::string Code(const std::string& text, bool in_table) {
  size_t longest = 0, run = 0;
  for (const char c : text) longest = std::max(longest, run = c == '`' ? run + 1 : 0);
  const std::string fence(longest + 1, '`');
  std::string inner = longest > 0 ? fmt::format(" {} ", text) : text;
  for (size_t at = 0; in_table && (at = inner.find('|', at)) != std::string::npos; at += 2) inner.replace(at, 1, "\\|");
  std::replace(inner.begin(), inner.end(), '\n', ' ');
  return fmt::format("{}{}{}", fence, inner, fence);
}

std::string Inline(const Text& text, bool in_table = false) {
  std::string out;
  for (const Span& span : text.spans) {
    if (span.style == Style::kCode)
      out += Code(span.text, in_table);
    else if (span.style == Style::kStrong)
      out += fmt::format("**{}**", Escape(span.text));
    else
      out += Escape(span.text);
  }
  return out;
}

// Characters on screen, every code point counted as one.
size_t Width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

std::string Pad(const std::string& text, size_t width, Align align) {
  const size_t room = width - std::min(width, Width(text));
  const size_t left = align == Align::kRight ? room : align == Align::kCenter ? room / 2 : 0;
  return fmt::format("{:{}}{}{:{}}", "", left, text, "", room - left);
}

std::string Rule(size_t width, Align align) {
  std::string dashes(width, '-');
  if (align != Align::kLeft) dashes.back() = ':';
  if (align == Align::kCenter) dashes.front() = ':';
  return dashes;
}

std::string Render(const Table& table) {
  std::vector<std::vector<std::string>> cells(1);
  for (const Column& column : table.columns) cells[0].push_back(Escape(column.title));
  for (size_t r = 0; r < table.rows.size(); ++r) {
    std::vector<std::string>& row = cells.emplace_back();
    for (const Text& cell : table.rows[r]) row.push_back(Inline(cell, true));
    if (table.chosen == r && !row.empty()) row[0] = fmt::format("**{}** ←", row[0]);
  }
  std::vector<size_t> widths(table.columns.size(), 3);
  for (const auto& row : cells)
    for (size_t c = 0; c < row.size(); ++c) widths[c] = std::max(widths[c], Width(row[c]));
  std::string out = table.caption.empty() ? "" : fmt::format("{}\n\n", Escape(table.caption));
  for (size_t r = 0; r < cells.size(); ++r) {
    out += "|";
    for (size_t c = 0; c < cells[r].size(); ++c)
      out += fmt::format(" {} |", Pad(cells[r][c], widths[c], table.columns[c].align));
    out += "\n";
    if (r > 0) continue;
    out += "|";
    for (size_t c = 0; c < widths.size(); ++c) out += fmt::format(" {} |", Rule(widths[c], table.columns[c].align));
    out += "\n";
  }
  return out;
}

std::string Render(const Heading& heading) {
  return fmt::format("{} {}\n", std::string(static_cast<size_t>(heading.level), '#'), Escape(heading.text));
}

std::string Render(const Paragraph& paragraph) {
  const std::string text = Inline(paragraph.text);
  switch (paragraph.tone) {
    case Tone::kWarning:
      return fmt::format("> **Note.** {}\n", text);
    case Tone::kNote:
      return fmt::format("> {}\n", text);
    default:
      return text + "\n";
  }
}

std::string Render(const Bullets& bullets) {
  std::string out;
  for (const Text& item : bullets.items) out += fmt::format("- {}\n", Inline(item));
  return out;
}

std::string Render(const CodeBlock& code) {
  std::string out = "```sh\n";
  for (const std::string& line : code.lines) out += line + "\n";
  return out + "```\n";
}

std::string Render(const Picture&) { return ""; }

std::string Render(const Fold& fold) {
  std::string out = fmt::format("**{}**\n", Escape(fold.summary));
  for (const Table& table : fold.tables) out += fmt::format("\n{}", Render(table));
  return out;
}

}  // namespace

std::string RenderMarkdown(const Document& document) {
  std::string out = fmt::format("# {}\n", Escape(document.title));
  for (const Block& block : document.blocks) {
    const std::string text = std::visit([](const auto& b) { return Render(b); }, block);
    if (!text.empty()) out += fmt::format("\n{}", text);
  }
  return out;
}

}  // namespace qad
