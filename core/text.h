#pragma once

#include <span>
#include <string>
#include <string_view>

namespace crescendo {

/// The candidate with the smallest edit distance to `word`, or "" when none is near enough to be
/// what the user meant (more than a third of its letters differ).
std::string nearest_name(std::string_view word, std::span<const std::string> candidates);

/// What to tell of a word that is none of `known`: "did you mean 'x'?" where one is near, else
/// "expected one of x, y".
std::string suggest_name(std::string_view word, std::span<const std::string> known);

/// The first ten lines, each on one of its own behind a line break, and how many more there are.
std::string some_lines(std::span<const std::string> lines);

/// Appends "\n  N title:" and some of the lines to a message, or nothing when there are none.
void append_some(std::string& message, std::string_view title, std::span<const std::string> lines);

/// True when `text` is well-formed UTF-8 (no overlong forms, no surrogates).
bool is_utf8(std::string_view text);

/// Drops spaces, tabs and line ends at both ends.
std::string_view trim(std::string_view text);

}  // namespace crescendo
