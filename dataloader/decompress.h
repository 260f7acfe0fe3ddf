#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "dataloader/byte_source.h"

namespace crescendo::dataloader {

/// The compression that the first bytes of a file (kMagicBytes of them) are of, by their content:
/// "gzip", "zstd", "xz", "bzip2", or "" for none of these.
constexpr std::size_t kMagicBytes = 8;
std::string_view compression_of(std::span<const std::byte> front);

/// Plain bytes pass through; gzip and zstd, known by content and not by name, are inflated with
/// their checksums and lengths verified, all members and frames. Other compressions are refused by
/// name (DataError). `where` names the file in errors.
std::unique_ptr<ByteSource> decompressed(std::unique_ptr<ByteSource> source, std::string where);

}  // namespace crescendo::dataloader
