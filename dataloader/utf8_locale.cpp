#include "dataloader/utf8_locale.h"

namespace crescendo::dataloader {

Utf8Locale::Utf8Locale() : previous_(uselocale(nullptr)) {
  // Made once and kept: newlocale reads files.
  static const locale_t utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
  if (utf8 != nullptr) uselocale(utf8);
}

Utf8Locale::~Utf8Locale() { uselocale(previous_); }

}  // namespace crescendo::dataloader
