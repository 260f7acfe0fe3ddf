#pragma once

#include <cstdint>
#include <vector>

namespace crescendo::dataloader {

/// 8-bit RGB, rows top down, channels interleaved: pixels[(y * width + x) * 3 + channel].
struct Image {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::uint8_t> pixels;
};

}  // namespace crescendo::dataloader
