#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

#include "dataloader/image.h"
#include "dataloader/sample_error.h"

namespace crescendo::dataloader {

using Color = std::array<std::uint8_t, 3>;

struct DecodeOptions {
  std::int64_t max_pixels = 89'478'485;  ///< width x height; Pillow's warning limit
  std::uint64_t max_unwrapped_bytes = std::uint64_t{1} << 28;  ///< of a gzip-wrapped image
  Color background = {255, 255, 255};                          ///< shows through transparent pixels
};

/// Decodes a JPEG, PNG or WebP, known by content whatever its name says, to upright RGB:
/// - grey and palette become RGB; CMYK and YCCK as Pillow converts them (Adobe's inversion);
/// - 16 bits are cut to their upper 8; alpha is composited on the background;
/// - EXIF orientation is applied; colour profiles are not;
/// - of an animation, the first frame; a gzip wrapper is taken off.
/// Damage that a decoder would merely warn of is an error. Size is checked from the header, before
/// pixels are allocated. Throws SampleError: "corrupt image", "image too large", "unsupported
/// image format".
Image decode_image(std::span<const std::byte> bytes, const DecodeOptions& options = {});

struct ImageHeader {
  std::string_view format;  ///< "jpeg", "png" or "webp"
  std::int64_t width = 0;   ///< as stored, before the orientation is applied
  std::int64_t height = 0;
  int orientation = 1;       ///< 1 to 8, EXIF; of a PNG only when it stands before the pixels
  bool has_alpha = false;    ///< pixels may be transparent
  bool has_profile = false;  ///< an ICC colour profile
};

/// What the first bytes of an image tell, without decoding it. Throws SampleError as decode_image()
/// does, as far as the header shows it.
ImageHeader read_image_header(std::span<const std::byte> bytes, const DecodeOptions& options = {});

/// "white", "black", "gray" or "#RRGGBB". Throws UserError, naming `where`.
Color parse_color(std::string_view text, std::string_view where);

}  // namespace crescendo::dataloader
