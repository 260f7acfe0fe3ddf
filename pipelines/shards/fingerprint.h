#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

namespace crescendo::pipelines {

/// FNV-1a, 64 bits, over strings and numbers.
class Fingerprint {
 public:
  void add(std::string_view text);
  void add(std::uint64_t number) { add(std::to_string(number)); }
  /// Size and time of the last change.
  void add_file(const std::filesystem::path& file);
  std::uint64_t value() const { return value_; }

 private:
  std::uint64_t value_ = 0xCBF29CE484222325;
};

}  // namespace crescendo::pipelines
