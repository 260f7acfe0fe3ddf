#pragma once

#include <string>
#include <string_view>
#include <utility>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/error.h"

namespace crescendo::pipelines {

/// A request that is answered with an HTTP status and {"detail": ...}, as FastAPI's, which
/// AUTOMATIC1111's API is made with.
class ApiError : public Error {
 public:
  ApiError(int status, const std::string& detail) : ApiError(status, detail, detail) {}
  ApiError(int status, const std::string& what, nlohmann::ordered_json detail)
      : Error(what), status_(status), detail_(std::move(detail)) {}

  int status() const { return status_; }
  const nlohmann::ordered_json& detail() const { return detail_; }

 private:
  int status_;
  nlohmann::ordered_json detail_;
};

/// A field of the body that cannot be taken: 422, with the field's name in "loc".
inline ApiError field_error(const std::string& field, const std::string& what) {
  return {422, fmt::format("{}: {}", field, what),
          nlohmann::ordered_json::array(
              {{{"loc", {"body", field}}, {"msg", what}, {"type", "value_error"}}})};
}

}  // namespace crescendo::pipelines
