#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
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

/// What is to be decoded of an image.
struct Wanted {
  int shrink = 1;  ///< of a JPEG 2, 4 or 8: the image at so many times less width and height
  Window part;     ///< of the upright image, as shrunken
};

struct DecodedPart {
  ImagePart part;            ///< with at least what is wanted
  Size original;             ///< of the upright image, before it was shrunken
  bool has_profile = false;  ///< as ImageHeader::has_profile
};

/// As decode_image(), of no more than is wanted: a JPEG is skipped over, and its pixels outside are
/// not worked out; damage there is still found. What is wanted of an upright image of that size,
/// `choose` says; it is not asked about other formats, which come whole.
DecodedPart decode_part(std::span<const std::byte> bytes, const DecodeOptions& options,
                        const std::function<Wanted(Size)>& choose);

/// The size of a JPEG that is shrunken: rounded up.
Size shrunken(Size image, int shrink);

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

using ImageText = std::map<std::string, std::string>;

/// What an image says of itself: of a PNG the text chunks before its pixels, by their keywords; of
/// a JPEG or WebP the UserComment of its EXIF, as "parameters", which is what Stable Diffusion's
/// tools call it in a PNG. Throws SampleError as read_image_header() does.
ImageText read_image_text(std::span<const std::byte> bytes);

/// "white", "black", "gray" or "#RRGGBB". Throws UserError, naming `where`.
Color parse_color(std::string_view text, std::string_view where);

}  // namespace crescendo::dataloader
