#pragma once

#include <cstddef>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

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

/// The compression that the first bytes of a file (kMagicBytes of them) are of, by their content:
/// "gzip", "zstd", "xz", "bzip2", or "" for none of these.
constexpr std::size_t kMagicBytes = 8;
std::string_view compression_of(std::span<const std::byte> front);

/// Plain bytes pass through; gzip, known by content and not by name, is inflated with its checksum
/// and length verified, all of its members. Other compressions are refused by name (DataError).
/// `where` names the file in errors.
std::unique_ptr<ByteSource> decompressed(std::unique_ptr<ByteSource> source, std::string where);

}  // namespace crescendo::dataloader
