#include <libxml/HTMLparser.h>

#include <algorithm>
#include <array>
#include <memory>

#include "base/error.h"
#include "retrieve/page.h"
#include "text/unicode.h"

namespace qad {
namespace {

using Names = std::string_view;
constexpr std::array<Names, 9> kHidden = {"head",   "iframe", "nav", "noscript", "object",
                                          "script", "style",  "svg", "template"};
constexpr std::array<Names, 33> kBlocks = {
    "address", "article", "aside", "blockquote", "body", "br",       "caption", "center", "dd",
    "details", "dialog",  "div",   "dl",         "dt",   "fieldset", "figure",  "footer", "form",
    "header",  "hr",      "html",  "li",         "main", "ol",       "p",       "pre",    "section",
    "summary", "table",   "tbody", "thead",      "tr",   "ul"};

static_assert(std::ranges::is_sorted(kHidden) && std::ranges::is_sorted(kBlocks));

template <size_t kCount>
bool IsOneOf(std::string_view name, const std::array<Names, kCount>& names) {
  return std::binary_search(names.begin(), names.end(), name);
}

std::string_view NameOf(const xmlNode* node) {
  return node->type == XML_ELEMENT_NODE && node->name != nullptr ? reinterpret_cast<const char*>(node->name)
                                                                 : std::string_view();
}

bool IsHeading(std::string_view name) { return name.size() == 2 && name[0] == 'h' && name[1] >= '1' && name[1] <= '6'; }

bool IsSpace(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// The text of a page as it grows: white space is single but in <pre>, blocks are apart.
class Writer {
 public:
  Writer() { page_.sections.emplace_back(); }

  void Text(std::string_view text) {
    std::string& out = heading_ ? title_ : page_.sections.back().text;
    for (const char c : text) {
      const bool space = IsSpace(c);
      if (space && preformatted_ > 0 && !heading_) {
        out += c == '\r' ? ' ' : c;
        continue;
      }
      if (space && (out.empty() || IsSpace(out.back()))) continue;
      out += space ? ' ' : c;
    }
  }
  void Break() {
    if (heading_ || cells_ > 0) return Text(" ");
    if (page_.sections.back().text.ends_with("- ")) return;  // the first block of a list's item
    std::string& out = page_.sections.back().text;
    while (!out.empty() && out.back() == ' ') out.pop_back();
    if (!out.empty() && !out.ends_with("\n\n")) out += out.ends_with('\n') ? "\n" : "\n\n";
  }
  void Line(std::string_view begin) {
    if (heading_ || cells_ > 0) return Text(" ");
    std::string& out = page_.sections.back().text;
    while (out.ends_with("\n\n")) out.pop_back();
    if (!out.empty() && out.back() != '\n') out += '\n';
    out += begin;
  }
  void BeginHeading() {
    heading_ = true;
    title_.clear();
  }
  void EndHeading() {
    heading_ = false;
    const std::string_view title =
        title_.ends_with(' ') ? std::string_view(title_).substr(0, title_.size() - 1) : title_;
    if (!title.empty()) page_.sections.push_back({std::string(title), std::string(title), ""});
  }
  void Preformatted(int change) { preformatted_ += change; }
  void Cell(int change) { cells_ += change; }
  void Title(std::string title) { page_.metadata["title"] = std::move(title); }
  Page Take() { return std::move(page_); }

 private:
  Page page_;
  bool heading_ = false;
  int preformatted_ = 0, cells_ = 0;
  std::string title_;
};

void Enter(std::string_view name, Writer& writer) {
  if (IsHeading(name)) return writer.BeginHeading();
  if (name == "li") return writer.Line("- ");
  if (name == "br" || name == "tr") return writer.Line("");
  if (name == "td" || name == "th") {
    writer.Text(" ");
    return writer.Cell(1);
  }
  if (name == "pre") writer.Preformatted(1);
  if (IsOneOf(name, kBlocks)) writer.Break();
}

void Leave(std::string_view name, Writer& writer) {
  if (IsHeading(name)) return writer.EndHeading();
  if (name == "td" || name == "th") return writer.Cell(-1);
  if (name == "pre") writer.Preformatted(-1);
  if (name != "br" && name != "li" && name != "tr" && IsOneOf(name, kBlocks)) writer.Break();
}

void ReadTitle(const xmlNode* head, Writer& writer) {
  for (xmlNode* child = head->children; child != nullptr; child = child->next) {
    if (NameOf(child) != "title") continue;
    if (xmlChar* text = xmlNodeGetContent(child)) {
      Writer title;
      title.Text(reinterpret_cast<const char*>(text));
      writer.Title(title.Take().sections[0].text);
      xmlFree(text);
    }
  }
}

// Without recursion: nesting is as deep as whoever wrote the page likes.
void Walk(const xmlNode* root, Writer& writer) {
  const xmlNode* node = root;
  while (node != nullptr) {
    const std::string_view name = NameOf(node);
    if (node->type == XML_TEXT_NODE || node->type == XML_CDATA_SECTION_NODE) {
      if (node->content != nullptr) writer.Text(reinterpret_cast<const char*>(node->content));
    } else if (name == "head") {
      ReadTitle(node, writer);
    }
    if (!name.empty() && !IsOneOf(name, kHidden)) {
      Enter(name, writer);
      if (node->children != nullptr) {
        node = node->children;
        continue;
      }
      Leave(name, writer);
    }
    while (node->next == nullptr) {
      node = node->parent;
      if (node == nullptr || node == root->parent) return;
      Leave(NameOf(node), writer);
    }
    node = node->next;
  }
}

}  // namespace

Page ReadHtml(std::string_view html, const std::string& where) {
  struct Free {
    void operator()(xmlDoc* document) const { xmlFreeDoc(document); }
    void operator()(htmlParserCtxt* parser) const { htmlFreeParserCtxt(parser); }
  };
  if (html.size() > INT32_MAX) FailInput("{}: is too long for HTML", where);
  const std::unique_ptr<htmlParserCtxt, Free> parser(htmlNewParserCtxt());
  if (parser == nullptr) throw std::bad_alloc();
  // Else what lies deeper than 256 elements, and of a text what lies beyond 10 MB, is left out without a word.
  parser->options |= XML_PARSE_HUGE;
  const int options =
      HTML_PARSE_RECOVER | HTML_PARSE_NOERROR | HTML_PARSE_NOWARNING | HTML_PARSE_NONET | HTML_PARSE_COMPACT;
  const std::unique_ptr<xmlDoc, Free> document(htmlCtxtReadMemory(parser.get(), html.data(),
                                                                  static_cast<int>(html.size()), nullptr,
                                                                  IsValidUtf8(html) ? "UTF-8" : nullptr, options));
  if (parser->errNo == XML_ERR_INTERNAL_ERROR || parser->errNo == XML_ERR_NO_MEMORY)
    FailInput("{}: is nested too deep, or too large, to be read as HTML", where);
  const xmlNode* root = document == nullptr ? nullptr : xmlDocGetRootElement(document.get());
  if (root == nullptr) FailInput("{}: holds nothing that can be read as HTML", where);
  // The parser would read the rest of the page as ISO-8859-1.
  if (document->encoding != nullptr && !IsValidUtf8(html) &&
      LowerCase(reinterpret_cast<const char*>(document->encoding)) == "utf-8")
    FailInput("{}: declares UTF-8 and holds bytes that are none; convert it, e.g. `iconv -f WINDOWS-1252 -t UTF-8`",
              where);
  Writer writer;
  Walk(root, writer);
  return writer.Take();
}

}  // namespace qad
