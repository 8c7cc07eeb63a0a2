// One document as sections: what Markdown, HTML and JSON lines are read into before they are cut.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace qad {

struct Section {
  std::string name;     // what cites it, after the page's "#"; empty for what stands before the first heading
  std::string heading;  // as it reads
  std::string text;
};

struct Page {
  std::vector<Section> sections;
  std::map<std::string, std::string> metadata;
};

// ATX headings ("# …" to "###### …", CommonMark 4.2) outside code fences; front matter and date lines are metadata.
Page ReadMarkdown(std::string_view markdown);

// As a browser shows it, by libxml2's tolerant parser: a section for each h1 … h6, blocks as paragraphs, cells of a row
// beside each other; scripts, styles, templates and navigation left out. UTF-8, or what the page declares, or else
// ISO-8859-1. <title> is metadata. Errors (kInput): nothing that can be read as HTML; bytes that are no UTF-8 in a page
// that declares it; `where` begins the message.
Page ReadHtml(std::string_view html, const std::string& where);

// One section for each line, an object with its text under "text", "content" or "body". It is named by its "id", a
// string or a whole number, and its title then stands before the text; else by its "title" or "heading", else by its
// line. Other keys are ignored. Errors (kInput): with the line.
Page ReadJsonLines(std::string_view lines, const std::string& where);

}  // namespace qad
