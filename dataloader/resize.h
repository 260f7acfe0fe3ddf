#pragma once

#include <cstdint>
#include <string_view>

#include "dataloader/image.h"

namespace crescendo::dataloader {

enum class Filter { kBilinear, kBicubic, kLanczos };

/// "bilinear", "bicubic" or "lanczos". Throws UserError, naming `where`.
Filter parse_filter(std::string_view name, std::string_view where);

/// The size whose shorter side is `resolution`, the longer one in proportion and rounded down, as
/// torchvision's Resize(int).
Size short_side_size(Size image, std::int64_t resolution);

/// The middle of `scaled`, of size `cut`, as torchvision's CenterCrop.
Window center_window(Size scaled, Size cut);

/// Resizes to `scaled` with antialiasing and returns that window of it, the only part that is
/// computed. Bit for bit Pillow's Image.resize().crop(): filters widened by the scale when
/// shrinking, 22-bit fixed-point weights, 8 bits between a horizontal and a vertical pass. The
/// vertical one comes first where it takes off more than twice as many rows as the other columns,
/// as in Pillow from version 13 on.
Image resize(const Image& image, Size scaled, const Window& window, Filter filter);

/// The same out of a part that holds at least source_window().
Image resize(const ImagePart& part, Size scaled, const Window& window, Filter filter);

/// The pixels of an image of size `whole` that resize() looks at.
Window source_window(Size whole, Size scaled, const Window& window, Filter filter);

}  // namespace crescendo::dataloader
