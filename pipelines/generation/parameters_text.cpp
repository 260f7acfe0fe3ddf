#include "pipelines/generation/parameters_text.h"

#include <algorithm>
#include <cctype>
#include <cstddef>
#include <utility>

#include <nlohmann/json.hpp>

#include "core/text.h"

namespace crescendo::pipelines {

namespace {

constexpr std::string_view kNegativePrompt = "Negative prompt:";
constexpr std::size_t kFewestFields = 3;

bool is_name(std::string_view name) {
  const auto is_word = [](unsigned char c) {
    return std::isalnum(c) != 0 || c == '_' || c >= 0x80;
  };
  return name.size() >= 2 && is_word(static_cast<unsigned char>(name[0])) &&
         std::ranges::all_of(
             name, [&](unsigned char c) { return is_word(c) || c == ' ' || c == '-' || c == '/'; });
}

/// The length of the string in quotes that the text begins with; 0 where it is none.
std::size_t quoted_length(std::string_view text) {
  if (!text.starts_with('"')) return 0;
  for (std::size_t i = 1; i < text.size(); ++i) {
    if (text[i] == '"') return i + 1;
    if (text[i] == '\\') ++i;
  }
  return 0;
}

void skip_past_comma(std::string_view& text) {
  const std::size_t comma = text.find(',');
  text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
}

/// Takes a value off the text, with the comma behind it.
std::string take_value(std::string_view& text) {
  const std::size_t quoted = quoted_length(text);
  const bool is_quoted = quoted > 0 && (quoted == text.size() || text[quoted] == ',');
  const std::size_t length = is_quoted ? quoted : std::min(text.find(','), text.size());
  const std::string_view value = text.substr(0, length);
  text.remove_prefix(length);
  skip_past_comma(text);
  if (is_quoted) {
    const auto json = nlohmann::json::parse(value, nullptr, /*allow_exceptions=*/false);
    if (json.is_string()) return json.get<std::string>();
  }
  return std::string(trim(value));
}

/// "Steps: 20, Sampler: \"a, b\"". What is no field is passed over, up to the next comma.
std::map<std::string, std::string> parse_fields(std::string_view line) {
  std::map<std::string, std::string> fields;
  while (!line.empty()) {
    const std::size_t end = std::min(line.find_first_of(":,"), line.size());
    const std::string_view name = trim(line.substr(0, end));
    const bool has_value = end < line.size() && line[end] == ':' && is_name(name);
    if (has_value) {
      line = trim(line.substr(end + 1));
      fields[std::string(name)] = take_value(line);
    } else {
      skip_past_comma(line);
    }
  }
  return fields;
}

void append_line(std::string& text, std::string_view line) {
  if (!text.empty()) text += '\n';
  text += line;
}

}  // namespace

ParametersText parse_parameters_text(std::string_view text) {
  ParametersText parsed;
  text = trim(text);
  const std::size_t last = text.rfind('\n');  // npos + 1 is 0
  parsed.fields = parse_fields(text.substr(last + 1));
  if (parsed.fields.size() < kFewestFields) {
    parsed.fields.clear();
  } else {
    text = text.substr(0, last == std::string_view::npos ? 0 : last);
  }
  std::string* prompt = &parsed.prompt;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    std::string_view line = trim(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
    if (line.starts_with(kNegativePrompt)) {
      prompt = &parsed.negative_prompt;
      line = trim(line.substr(kNegativePrompt.size()));
    }
    append_line(*prompt, line);
  }
  return parsed;
}

}  // namespace crescendo::pipelines
