#pragma once

#include <locale.h>

namespace crescendo::dataloader {

/// While alive, this thread's locale is C.UTF-8: in the "C" locale libarchive warns on every name
/// that is not ASCII and mangles it. The process' locale is left alone.
class Utf8Locale {
 public:
  Utf8Locale();
  ~Utf8Locale();
  Utf8Locale(const Utf8Locale&) = delete;
  Utf8Locale& operator=(const Utf8Locale&) = delete;

 private:
  locale_t previous_;
};

}  // namespace crescendo::dataloader
