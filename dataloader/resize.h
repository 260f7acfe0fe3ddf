#pragma once

#include <cstdint>
#include <string_view>

#include "dataloader/image.h"

namespace crescendo::dataloader {

enum class Filter { kBilinear, kBicubic, kLanczos };

/// "bilinear", "bicubic" or "lanczos". Throws UserError, naming `where`.
Filter parse_filter(std::string_view name, std::string_view where);

struct Size {
  std::int64_t width = 0;
  std::int64_t height = 0;
};

/// The size whose shorter side is `resolution`, the longer one in proportion and rounded down, as
/// torchvision's Resize(int).
Size short_side_size(Size image, std::int64_t resolution);

/// A part of the scaled image, in its pixels.
struct Window {
  std::int64_t left = 0;
  std::int64_t top = 0;
  Size size;
};

/// The middle of `scaled`, of size `cut`, as torchvision's CenterCrop.
Window center_window(Size scaled, Size cut);

/// Resizes to `scaled` with antialiasing and returns that window of it, the only part that is
/// computed. Bit for bit Pillow's Image.resize().crop(): horizontal pass, then vertical, filters
/// widened by the scale when shrinking, 22-bit fixed-point weights, 8 bits between the passes.
Image resize(const Image& image, Size scaled, const Window& window, Filter filter);

}  // namespace crescendo::dataloader
