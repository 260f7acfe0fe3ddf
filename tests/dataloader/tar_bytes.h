#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tests/dataloader/test_data.h"

namespace crescendo::dataloader {

/// One record of a PAX header.
std::string pax_record(std::string_view key, std::string_view value);

/// A tar put together by hand, so that every odd and every damaged one can be made.
class TarBytes {
 public:
  /// A ustar member; `type` is its type flag, '0' for a regular file.
  TarBytes& add(std::string_view name, std::string_view data, char type = '0');
  /// A member whose name stands in a PAX header in front of it.
  TarBytes& add_pax(std::string_view name, std::string_view data);
  /// A member whose name stands in a GNU long-name block in front of it.
  TarBytes& add_gnu(std::string_view name, std::string_view data);
  /// A header that claims a size (the 12 bytes of the field), without any data.
  TarBytes& add_claim(std::string_view name, std::string_view size_field);
  TarBytes& append(std::string_view raw);

  /// Two blocks of zeros.
  TarBytes& end();

  std::size_t size() const { return text_.size(); }
  Bytes bytes() const { return bytes_of(text_); }

 private:
  void add_header(std::string_view name, std::string_view size_field, char type);
  void add_data(std::string_view data);

  std::string text_;
};

/// A tar of those members, with its end.
Bytes tar_of(const std::vector<std::pair<std::string, std::string>>& members);

Bytes gzip(std::span<const std::byte> bytes);

}  // namespace crescendo::dataloader
