// UTF-8 in and out, with utf8proc for what needs tables.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace qad {

// Appends the code point as UTF-8.
void AppendUtf8(uint32_t code_point, std::string& out);

// Invalid sequences become U+FFFD, one for each maximal ill-formed part (as Python's and Rust's lossy decoding does).
std::string ReplaceInvalidUtf8(std::string_view text);
bool IsValidUtf8(std::string_view text);

// Lower case by full Unicode tables, for comparing answers.
std::string LowerCase(std::string_view text);

// Answers are compared so: lower case, articles (a, an, the) and punctuation out, white space single (SQuAD, Rajpurkar
// et al. 2016, applied to Unicode's punctuation). Decimal points and commas inside numbers stay.
std::string NormalizeAnswer(std::string_view text);

}  // namespace qad
