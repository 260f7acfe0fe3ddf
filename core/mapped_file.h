#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace crescendo {

/// A file mapped read-only. Pages are read when touched. Throws UserError when it cannot be opened.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace crescendo
