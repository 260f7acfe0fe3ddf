#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "dataloader/image.h"

namespace crescendo::dataloader {

/// A baseline JPEG of quality 1 to 100, its colours at full resolution (4:4:4).
std::vector<std::byte> encode_jpeg(const Image& image, int quality);

/// A PNG; `alpha`, unless empty, holds the opacity of each pixel, and `text` goes into iTXt chunks.
std::vector<std::byte> encode_png(const Image& image, std::span<const std::uint8_t> alpha = {},
                                  const std::map<std::string, std::string>& text = {});

}  // namespace crescendo::dataloader
