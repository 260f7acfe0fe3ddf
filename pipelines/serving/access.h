#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "pipelines/serving/api_error.h"

namespace crescendo::pipelines {

/// What decides whether a request is looked at, before its body is read.
struct RequestHead {
  std::string method{};
  std::string host{};           ///< the header of that name; "" where there is none
  std::string origin{};         ///< likewise
  std::string authorization{};  ///< likewise
  std::string content_type{};   ///< likewise
  bool has_body = false;
};

/// True for addresses that only this machine reaches: 127.0.0.0/8, ::1, localhost.
bool is_loopback(std::string_view host);

/// Why a request is refused, or nothing:
/// - with a token: it must be given, as `Authorization: Bearer TOKEN` or as the password (or
///   user:password) of basic authentication; 401;
/// - without one: Host must be a loopback name, so that no page elsewhere reaches the server under
///   a name of its own (DNS rebinding); 403;
/// - Origin, which browsers send, must be the server itself; 403;
/// - a body must be application/json, which no form of another page can send; 415.
std::optional<ApiError> refuse(const RequestHead& head, const std::string& token);

}  // namespace crescendo::pipelines
