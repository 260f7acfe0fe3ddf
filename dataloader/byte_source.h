#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>

namespace crescendo::dataloader {

/// Bytes in order, from a file, from memory or out of a decompressor.
class ByteSource {
 public:
  virtual ~ByteSource() = default;

  /// Fills the front of `out` and returns how many bytes; 0 only at the end. Throws DataError (or
  /// UserError when the system fails).
  virtual std::size_t read(std::span<std::byte> out) = 0;
};

/// Throws UserError when the file cannot be opened.
std::unique_ptr<ByteSource> open_file(const std::filesystem::path& path);

/// `bytes` must outlive the source.
std::unique_ptr<ByteSource> open_memory(std::span<const std::byte> bytes);

}  // namespace crescendo::dataloader
