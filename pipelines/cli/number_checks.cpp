#include "pipelines/cli/number_checks.h"

#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

namespace crescendo::cli {

namespace {

/// `holds(number)`, and what is said to be expected where it does not.
template <typename Predicate>
CLI::Validator check(const char* expected, const char* name, Predicate holds) {
  return CLI::Validator(
      [=](const std::string& text) {
        double number = 0;
        if (CLI::detail::lexical_cast(text, number) && holds(number)) return std::string();
        return fmt::format("expected {}, found '{}'", expected, text);
      },
      name);
}

}  // namespace

CLI::Validator positive() {
  return check("a number above 0", "POSITIVE", [](double number) { return number > 0; });
}

CLI::Validator non_negative() {
  return check("a number of 0 or more", "NONNEGATIVE", [](double number) { return number >= 0; });
}

}  // namespace crescendo::cli
