#include "dataloader/text_source.h"

#include <vector>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include "core/random.h"
#include "core/text.h"

namespace crescendo::dataloader {

namespace {

std::string_view text_of(const RawMember& member) {
  return {reinterpret_cast<const char*>(member.bytes.data()), member.bytes.size()};
}

/// The field of that path, or null.
const nlohmann::json* find_field(const nlohmann::json& object, std::string_view path) {
  if (!object.is_object()) return nullptr;
  if (const auto found = object.find(path); found != object.end()) return &*found;
  const std::size_t dot = path.find('.');
  if (dot == std::string_view::npos) return nullptr;
  const auto inner = object.find(path.substr(0, dot));
  return inner == object.end() ? nullptr : find_field(*inner, path.substr(dot + 1));
}

}  // namespace

TextSource parse_text_source(const std::string& text, std::string_view key) {
  if (text == "none") return {};
  constexpr std::string_view kJson = "json:";
  if (text.starts_with(kJson) && text.size() > kJson.size()) {
    return {"json", text.substr(kJson.size())};
  }
  if (text.empty() || text.find_first_of(":/") != std::string::npos) {
    throw UserError("{}: expected a suffix (txt), json:FIELD or none, found '{}'", key, text);
  }
  return {text, ""};
}

std::string suffixes_of(const RawSample& raw) {
  std::vector<std::string_view> names;
  for (const RawMember& member : raw.members) names.push_back(member.suffix);
  return fmt::format("{}", fmt::join(names, ", "));
}

std::string find_text(const RawSample& raw, const TextSource& source, std::string_view what,
                      bool scalars) {
  const std::string bad = fmt::format("bad {}", what);
  const std::string none = fmt::format("no {}", what);
  const RawMember* member = raw.find(source.suffix);
  if (member == nullptr) {
    throw SampleError(
        none, fmt::format("expected a member {}, found {}", source.suffix, suffixes_of(raw)));
  }
  if (!is_utf8(text_of(*member))) {
    throw SampleError(bad, fmt::format(".{} is not UTF-8", source.suffix));
  }
  if (source.field.empty()) return std::string(text_of(*member));
  const nlohmann::json object = nlohmann::json::parse(text_of(*member), nullptr, false);
  if (!object.is_object()) {
    throw SampleError(bad, fmt::format(".{} is no JSON object", source.suffix));
  }
  const nlohmann::json* value = find_field(object, source.field);
  if (value == nullptr) {
    throw SampleError(none, fmt::format("the JSON has no field '{}'", source.field));
  }
  if (value->is_null()) throw SampleError(none, fmt::format("'{}' is null", source.field));
  if (value->is_string()) return value->get<std::string>();
  if (scalars && value->is_primitive()) return value->dump();
  throw SampleError(bad,
                    fmt::format("'{}' is no string{}", source.field, scalars ? " or number" : ""));
}

CaptionLine parse_caption_line(const std::string& text, std::string_view key) {
  if (text == "all") return CaptionLine::kAll;
  if (text == "first") return CaptionLine::kFirst;
  if (text == "random") return CaptionLine::kRandom;
  throw UserError("{}: expected all, first or random, found '{}'", key, text);
}

std::string choose_caption(std::string_view text, CaptionLine line, std::uint64_t seed,
                           std::uint64_t ordinal) {
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";
  if (text.starts_with(kByteOrderMark)) text.remove_prefix(kByteOrderMark.size());
  text = trim(text);
  if (line == CaptionLine::kAll) return std::string(text);
  std::vector<std::string_view> lines;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    lines.push_back(trim(text.substr(0, end)));
    text = end == std::string_view::npos ? std::string_view() : trim(text.substr(end));
  }
  if (lines.empty()) return "";
  if (line == CaptionLine::kFirst) return std::string(lines.front());
  return std::string(lines[RandomStream(seed, Purpose::kCaptionLine, ordinal).below(lines.size())]);
}

}  // namespace crescendo::dataloader
