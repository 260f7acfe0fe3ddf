#pragma once

#include <string>

#include "core/error.h"

namespace crescendo {

/// The message of the UserError that `action` throws, or "" when it throws none.
template <typename Action>
std::string error_text(Action&& action) {
  try {
    action();
  } catch (const UserError& failure) {
    return failure.what();
  }
  return "";
}

/// The same for DataError alone: another exception passes through and fails the test.
template <typename Action>
std::string data_error_text(Action&& action) {
  try {
    action();
  } catch (const DataError& failure) {
    return failure.what();
  }
  return "";
}

}  // namespace crescendo
