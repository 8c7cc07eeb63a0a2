#include <algorithm>
#include <initializer_list>

#include "base/error.h"
#include "base/json.h"
#include "retrieve/page.h"
#include "retrieve/splitting.h"

namespace qad {
namespace {

// The first of the keys that holds a string with something in it.
std::string FirstOf(const JsonObject& json, std::initializer_list<const char*> keys) {
  for (const char* key : keys)
    if (std::string text = json.StringOr(key, ""); !text.empty()) return text;
  return "";
}

Section ReadLine(std::string_view line, const std::string& where, size_t number) {
  const std::string place = fmt::format("{}:{}", where, number);
  const Json root = ParseJson(line, place);
  const JsonObject json(root, place);
  Section section{.name = "", .heading = SingleSpaced(FirstOf(json, {"title", "heading"})), .text = ""};
  if (json.Has("id"))
    section.name = json.At("id").is_number_integer() ? json.At("id").dump() : SingleSpaced(json.String("id"));
  section.text = FirstOf(json, {"text", "content", "body"});
  if (section.text.empty())
    FailInput("{}: a document of JSON lines needs its text under \"text\", \"content\" or \"body\"", place);
  // What is read has its title where the id does not say it.
  if (!section.name.empty() && !section.heading.empty()) section.text = section.heading + "\n" + section.text;
  if (section.name.empty()) section.name = section.heading.empty() ? fmt::format("line-{}", number) : section.heading;
  return section;
}

}  // namespace

Page ReadJsonLines(std::string_view lines, const std::string& where) {
  if (lines.starts_with("\xEF\xBB\xBF")) lines.remove_prefix(3);
  Page page;
  size_t number = 0;
  while (!lines.empty()) {
    const size_t end = std::min(lines.find('\n'), lines.size());
    const std::string_view line = lines.substr(0, end);
    lines.remove_prefix(std::min(end + 1, lines.size()));
    ++number;
    if (line.find_first_not_of(" \t\r") != std::string_view::npos)
      page.sections.push_back(ReadLine(line, where, number));
  }
  return page;
}

}  // namespace qad
