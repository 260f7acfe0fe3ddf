#pragma once

#include <cstddef>
#include <filesystem>
#include <span>

namespace crescendo {

/// A file mapped privately: its pages are read when touched, and never written back. Throws
/// UserError when it cannot be opened.
class MappedFile {
 public:
  explicit MappedFile(const std::filesystem::path& path);
  ~MappedFile();
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;

  std::span<const std::byte> bytes() const { return bytes_; }

  /// Lets go of the memory that holds `part` of bytes(), which was read and is not needed soon; it
  /// would be read from the file again.
  void release(std::span<const std::byte> part) const;

 private:
  std::span<const std::byte> bytes_;
};

}  // namespace crescendo
