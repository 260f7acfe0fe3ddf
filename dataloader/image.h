#pragma once

#include <cstdint>
#include <vector>

namespace crescendo::dataloader {

struct Size {
  std::int64_t width = 0;
  std::int64_t height = 0;

  bool operator==(const Size&) const = default;
};

/// A rectangle of pixels.
struct Window {
  std::int64_t left = 0;
  std::int64_t top = 0;
  Size size;
};

/// 8-bit RGB, rows top down, channels interleaved: pixels[(y * width + x) * 3 + channel].
struct Image {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::uint8_t> pixels;
};

/// The pixels of a window of an image that is `whole` in size.
struct ImagePart {
  Image image;
  std::int64_t left = 0;
  std::int64_t top = 0;
  Size whole;
};

}  // namespace crescendo::dataloader
