#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>
#include <string_view>

namespace crescendo::dataloader {

/// A file whose bytes are read at any place; safe to use from several threads at once.
class PlainFile {
 public:
  /// Throws UserError when it cannot be opened or is no regular file.
  explicit PlainFile(const std::filesystem::path& path);
  ~PlainFile();
  PlainFile(const PlainFile&) = delete;
  PlainFile& operator=(const PlainFile&) = delete;

  std::uint64_t size() const { return size_; }

  /// Fills `out` from `offset` on. Throws DataError where the file ends before.
  void read(std::uint64_t offset, std::span<std::byte> out) const;

  /// zlib's CRC-32 of a part. Throws as read() does.
  std::uint32_t crc32(std::uint64_t offset, std::uint64_t size) const;

  /// The name of the compression by the first bytes, "" when there is none.
  std::string_view compression() const;

 private:
  std::string path_;
  int descriptor_;
  std::uint64_t size_ = 0;
};

/// zlib's CRC-32.
std::uint32_t crc32_of(std::span<const std::byte> bytes, std::uint32_t before = 0);

}  // namespace crescendo::dataloader
