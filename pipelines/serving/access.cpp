#include "pipelines/serving/access.h"

#include <algorithm>
#include <cctype>
#include <vector>

#include "core/base64.h"
#include "core/text.h"

namespace crescendo::pipelines {

namespace {

/// Takes as long for every text of one length, so that time tells nothing of the token.
bool is_same_secret(std::string_view given, std::string_view secret) {
  unsigned difference = given.size() == secret.size() ? 0 : 1;
  for (std::size_t i = 0; i < given.size(); ++i) {
    difference |= static_cast<unsigned char>(given[i]) ^
                  static_cast<unsigned char>(secret[i % secret.size()]);
  }
  return difference == 0;
}

bool has_prefix(std::string_view text, std::string_view lower_prefix) {
  return text.size() >= lower_prefix.size() &&
         std::equal(lower_prefix.begin(), lower_prefix.end(), text.begin(), [](char a, char b) {
           return a == std::tolower(static_cast<unsigned char>(b));
         });
}

bool is_authorized(std::string_view authorization, const std::string& token) {
  if (has_prefix(authorization, "bearer ")) {
    return is_same_secret(trim(authorization.substr(7)), token);
  }
  if (!has_prefix(authorization, "basic ")) return false;
  const auto bytes = from_base64(trim(authorization.substr(6)));
  if (!bytes) return false;
  const std::string_view pair(reinterpret_cast<const char*>(bytes->data()), bytes->size());
  const std::size_t colon = pair.find(':');
  return is_same_secret(pair, token) ||
         (colon != std::string_view::npos && is_same_secret(pair.substr(colon + 1), token));
}

/// "localhost:7860" -> "localhost", "[::1]:7860" -> "::1"
std::string_view without_port(std::string_view authority) {
  if (authority.starts_with('[')) return authority.substr(1, authority.find(']') - 1);
  return authority.substr(0, authority.find(':'));
}

}  // namespace

bool is_loopback(std::string_view host) {
  const bool is_numbers = host.find_first_not_of("0123456789.") == std::string_view::npos;
  return host == "localhost" || host == "::1" || (is_numbers && host.starts_with("127."));
}

std::optional<ApiError> refuse(const RequestHead& head, const std::string& token) {
  if (token.empty()) {
    if (!is_loopback(without_port(head.host))) {
      return ApiError(403,
                      fmt::format("Host: expected localhost or 127.0.0.1, found '{}'", head.host));
    }
  } else if (!is_authorized(head.authorization, token)) {
    return ApiError(401, "Authorization: expected 'Bearer TOKEN', or TOKEN as the password");
  }
  if (!head.origin.empty()) {
    const std::size_t slashes = head.origin.find("://");
    const bool is_ours = slashes != std::string::npos &&
                         std::string_view(head.origin).substr(slashes + 3) == head.host;
    if (!is_ours) {
      return ApiError(403, fmt::format("Origin: expected this server, found '{}'", head.origin));
    }
  }
  if (head.has_body && !has_prefix(head.content_type, "application/json")) {
    return ApiError(
        415, fmt::format("Content-Type: expected application/json, found '{}'", head.content_type));
  }
  return {};
}

}  // namespace crescendo::pipelines
