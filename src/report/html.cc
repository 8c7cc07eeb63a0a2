#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "base/hash.h"
#include "report/document.h"
#include "report/style.h"

namespace qad {
namespace {

const char* ClassOf(Style style) {
  switch (style) {
    case Style::kMuted:
      return "muted";
    case Style::kGood:
      return "good";
    case Style::kBad:
      return "bad";
    case Style::kUnsure:
      return "unsure";
    default:
      return "";
  }
}

struct Control {
  std::string_view utf8, shown;
};

// All of Unicode's property Bidi_Control.
constexpr std::array<Control, 12> kBidiControls = {{{"\u061C", "\\u061C"},
                                                    {"\u200E", "\\u200E"},
                                                    {"\u200F", "\\u200F"},
                                                    {"\u202A", "\\u202A"},
                                                    {"\u202B", "\\u202B"},
                                                    {"\u202C", "\\u202C"},
                                                    {"\u202D", "\\u202D"},
                                                    {"\u202E", "\\u202E"},
                                                    {"\u2066", "\\u2066"},
                                                    {"\u2067", "\\u2067"},
                                                    {"\u2068", "\\u2068"},
                                                    {"\u2069", "\\u2069"}}};

// The one that `text` begins with; none: null.
const Control* BidiControl(std::string_view text) {
  const auto found = std::find_if(kBidiControls.begin(), kBidiControls.end(),
                                  [&](const Control& control) { return text.starts_with(control.utf8); });
  return found == kBidiControls.end() ? nullptr : &*found;
}

std::string Inline(const Text& text) {
  std::string out;
  for (const Span& span : text.spans) {
    const std::string escaped = EscapeHtml(span.text);
    if (span.style == Style::kPlain)
      out += escaped;
    else if (span.style == Style::kStrong)
      out += "<strong>" + escaped + "</strong>";
    else if (span.style == Style::kCode)
      out += "<code>" + escaped + "</code>";
    else
      out += fmt::format("<span class=\"{}\">{}</span>", ClassOf(span.style), escaped);
  }
  return out;
}

std::string AlignClass(Align align) {
  return align == Align::kRight ? " class=\"right\"" : align == Align::kCenter ? " class=\"center\"" : "";
}

std::string Render(const Table& table) {
  std::string out = "<div class=\"scroll\"><table>\n";
  if (!table.caption.empty()) out += "<caption>" + EscapeHtml(table.caption) + "</caption>\n";
  out += "<thead><tr>";
  for (const Column& column : table.columns)
    out += fmt::format("<th scope=\"col\"{}>{}</th>", AlignClass(column.align), EscapeHtml(column.title));
  out += "</tr></thead>\n<tbody>\n";
  for (size_t r = 0; r < table.rows.size(); ++r) {
    out += table.chosen == r ? "<tr class=\"chosen\">" : "<tr>";
    for (size_t c = 0; c < table.rows[r].size(); ++c)
      out += fmt::format("<td{}>{}</td>", AlignClass(table.columns[c].align), Inline(table.rows[r][c]));
    out += "</tr>\n";
  }
  return out + "</tbody></table></div>\n";
}

std::string Render(const Heading& heading) {
  return fmt::format("<h{0}>{1}</h{0}>\n", heading.level, EscapeHtml(heading.text));
}

std::string Render(const Paragraph& paragraph) {
  static constexpr std::array kClasses = {"", " class=\"lead\"", " class=\"note\"", " class=\"warning\""};
  return fmt::format("<p{}>{}</p>\n", kClasses[static_cast<size_t>(paragraph.tone)], Inline(paragraph.text));
}

std::string Render(const Bullets& bullets) {
  std::string out = "<ul>\n";
  for (const Text& item : bullets.items) out += "<li>" + Inline(item) + "</li>\n";
  return out + "</ul>\n";
}

std::string Render(const CodeBlock& code) {
  std::string out = "<pre><code>";
  for (const std::string& line : code.lines) out += EscapeHtml(line) + "\n";
  return out + "</code></pre>\n";
}

std::string Render(const Picture& picture) {
  if (picture.svg.empty()) return "";
  return fmt::format("<figure>\n{}<figcaption>{}</figcaption>\n</figure>\n", picture.svg, EscapeHtml(picture.caption));
}

std::string Render(const Fold& fold) {
  std::string out = "<details><summary>" + EscapeHtml(fold.summary) + "</summary>\n";
  for (const Table& table : fold.tables) out += Render(table);
  return out + "</details>\n";
}

}  // namespace

std::string EscapeHtml(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (const Control* control = BidiControl(text.substr(i))) {
      out += control->shown;
      i += control->utf8.size() - 1;
      continue;
    }
    const char c = text[i];
    const auto code = static_cast<unsigned char>(c);
    if (c == '&')
      out += "&amp;";
    else if (c == '<')
      out += "&lt;";
    else if (c == '>')
      out += "&gt;";
    else if (c == '"')
      out += "&quot;";
    else if (c == '\'')
      out += "&#39;";
    else if ((code < 0x20 && c != '\n' && c != '\t') || code == 0x7F)
      out += "\uFFFD";
    else
      out += c;
  }
  return out;
}

std::string RenderHtml(const std::string& title, const std::vector<Document>& documents) {
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\" xmlns=\"http://www.w3.org/1999/xhtml\">\n<head>\n<meta charset=\"utf-8\"/>\n"
      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'sha256-{}'; "
      "base-uri 'none'; form-action 'none'\"/>\n"
      "<meta name=\"viewport\" content=\"width=device-width, "
      "initial-scale=1\"/>\n<title>{}</title>\n<style>{}</style>\n"
      "</head>\n<body>\n<nav>",
      Sha256Base64(kStyleSheet), EscapeHtml(title), kStyleSheet);
  for (const Document& document : documents)
    out += fmt::format("<a href=\"#{}\">{}</a> ", document.anchor, EscapeHtml(document.title));
  out += "</nav>\n";
  for (const Document& document : documents) {
    out += fmt::format("<section id=\"{}\">\n<h1{}>{}</h1>\n", document.anchor,
                       &document == &documents.front() ? " class=\"first\"" : "", EscapeHtml(document.title));
    for (const Block& block : document.blocks) out += std::visit([](const auto& b) { return Render(b); }, block);
    out += "</section>\n";
  }
  return out + "</body>\n</html>\n";
}

}  // namespace qad
