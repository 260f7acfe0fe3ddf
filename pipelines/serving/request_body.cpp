#include "pipelines/serving/request_body.h"

#include <algorithm>
#include <cmath>

#include "pipelines/serving/api_error.h"

namespace crescendo::pipelines {

namespace {

constexpr std::size_t kLongestText = 100'000;

}  // namespace

RequestBody::RequestBody(std::string_view text) {
  try {
    object_ = Json::parse(text);
  } catch (const nlohmann::json::exception& failure) {
    throw ApiError(400, fmt::format("body: no JSON: {}", failure.what()));
  }
  if (!object_.is_object()) {
    throw ApiError(422, fmt::format("body: expected a JSON object, found {}", object_.type_name()));
  }
}

const Json& RequestBody::value(const std::string& name) {
  static const Json kNull;
  read_.insert(name);
  const auto found = object_.find(name);
  return found == object_.end() ? kNull : *found;
}

double RequestBody::number(const std::string& name, double fallback, double low, double high) {
  const Json& found = value(name);
  if (found.is_null()) return fallback;
  if (!found.is_number()) {
    throw field_error(name, fmt::format("expected a number, found {}", found.type_name()));
  }
  const auto number = found.get<double>();
  if (!(number >= low && number <= high)) {
    throw field_error(name, fmt::format("expected {} to {}, found {}", low, high, number));
  }
  return number;
}

std::int64_t RequestBody::integer(const std::string& name, std::int64_t fallback, std::int64_t low,
                                  std::int64_t high) {
  const double number = this->number(name, static_cast<double>(fallback), static_cast<double>(low),
                                     static_cast<double>(high));
  if (number != std::floor(number)) {
    throw field_error(name, fmt::format("expected an integer, found {}", number));
  }
  return static_cast<std::int64_t>(number);
}

bool RequestBody::flag(const std::string& name, bool fallback) {
  const Json& found = value(name);
  if (found.is_null()) return fallback;
  if (found.is_boolean()) return found.get<bool>();
  if (found == 0) return false;
  if (found == 1) return true;
  throw field_error(name, fmt::format("expected true or false, found {}", found.type_name()));
}

std::string RequestBody::text(const std::string& name, const std::string& fallback) {
  const Json& found = value(name);
  if (found.is_null()) return fallback;
  if (!found.is_string()) {
    throw field_error(name, fmt::format("expected a string, found {}", found.type_name()));
  }
  const auto& text = found.get_ref<const std::string&>();
  if (text.size() > kLongestText) {
    throw field_error(
        name, fmt::format("expected at most {} bytes, found {}", kLongestText, text.size()));
  }
  return text;
}

void RequestBody::expect_one_of(const std::string& name, const std::vector<Json>& neutral) {
  const Json& found = value(name);
  if (found.is_null() || std::ranges::find(neutral, found) != neutral.end()) return;
  throw field_error(name,
                    fmt::format("not supported; expected it absent or {}", neutral[0].dump()));
}

std::vector<std::string> RequestBody::unread() const {
  std::vector<std::string> names;
  for (const auto& [name, value] : object_.items()) {
    if (!read_.contains(name)) names.push_back(name);
  }
  return names;
}

}  // namespace crescendo::pipelines
