#pragma once

#include <stdexcept>
#include <string>
#include <utility>

#include <fmt/format.h>

namespace crescendo {

/// Base of every error this project throws on purpose. The message reads
/// `where: what; expected X, found Y`, followed by a hint when there is one.
class Error : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// The user's input, configuration or environment is at fault: exit code 2.
class UserError : public Error {
 public:
  using Error::Error;

  template <typename... Args>
  explicit UserError(fmt::format_string<Args...> format,
                     Args&&... args) requires(sizeof...(Args) > 0)
      : Error(fmt::format(format, std::forward<Args>(args)...)) {}
};

/// Bytes from outside are malformed (a sample, a shard, a weight file). A job that reads many of
/// them skips, counts and names the bad one; where there is nothing to skip to, it is the user's
/// error.
class DataError : public UserError {
 public:
  using UserError::UserError;
};

}  // namespace crescendo
