#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace crescendo::pipelines {

using Json = nlohmann::ordered_json;

/// The JSON object of a request, field by field. A field that is absent or null has its default;
/// one of another type or out of its range throws ApiError 422.
class RequestBody {
 public:
  /// Throws ApiError: 400 for what is no JSON, 422 for what is no object.
  explicit RequestBody(std::string_view text);

  /// A fraction of zero is no fraction: JavaScript writes 20 as it likes.
  std::int64_t integer(const std::string& name, std::int64_t fallback, std::int64_t low,
                       std::int64_t high);
  double number(const std::string& name, double fallback, double low, double high);
  bool flag(const std::string& name, bool fallback);
  std::string text(const std::string& name, const std::string& fallback = "");

  /// The value as it is, or null.
  const Json& value(const std::string& name);

  /// Takes what can be asked for elsewhere, but not here, where it asks for nothing.
  void expect_one_of(const std::string& name, const std::vector<Json>& neutral);

  /// The fields that were not asked for by any of these.
  std::vector<std::string> unread() const;

 private:
  Json object_;
  std::set<std::string> read_;
};

}  // namespace crescendo::pipelines
