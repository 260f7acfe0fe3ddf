#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "dataloader/image.h"

namespace crescendo::dataloader {

/// A baseline JPEG of quality 1 to 100, its colours at full resolution (4:4:4). `exif`, unless
/// empty or too long for its marker (65,527 bytes), is the EXIF block.
std::vector<std::byte> encode_jpeg(const Image& image, int quality,
                                   std::span<const std::byte> exif = {});

/// A lossy WebP of quality 0 to 100, with an EXIF block unless that is empty. At most 16383 pixels
/// a side; throws Error for more.
std::vector<std::byte> encode_webp(const Image& image, int quality,
                                   std::span<const std::byte> exif = {});

/// A PNG; `alpha`, unless empty, holds the opacity of each pixel, and `text` goes into iTXt chunks.
std::vector<std::byte> encode_png(const Image& image, std::span<const std::uint8_t> alpha = {},
                                  const std::map<std::string, std::string>& text = {});

}  // namespace crescendo::dataloader
