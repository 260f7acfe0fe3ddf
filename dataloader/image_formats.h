#pragma once

#include <cstddef>
#include <functional>
#include <span>

#include "dataloader/decode_image.h"
#include "dataloader/image.h"

namespace crescendo::dataloader {

// One decoder a format, all with the contract of decode_part() except the orientation, which they
// return (1-8) and decode_part() applies.

struct StoredImage {
  ImagePart part;
  Size original;  ///< before it was shrunken
  int orientation = 1;
  bool has_profile = false;
};

/// An image of which all is decoded.
StoredImage whole_image(Image image, int orientation, bool has_profile);

using ChoosePart = std::function<Wanted(Size)>;  ///< of and about the upright image

StoredImage decode_jpeg(std::span<const std::byte> bytes, const DecodeOptions& options,
                        const ChoosePart& choose);
StoredImage decode_png(std::span<const std::byte> bytes, const DecodeOptions& options,
                       const ChoosePart& choose);
StoredImage decode_webp(std::span<const std::byte> bytes, const DecodeOptions& options,
                        const ChoosePart& choose);

// Size is left to the caller to check.
ImageHeader read_jpeg_header(std::span<const std::byte> bytes);
ImageHeader read_png_header(std::span<const std::byte> bytes);
ImageHeader read_webp_header(std::span<const std::byte> bytes);

// As read_image_text().
ImageText read_jpeg_text(std::span<const std::byte> bytes);
ImageText read_png_text(std::span<const std::byte> bytes);
ImageText read_webp_text(std::span<const std::byte> bytes);

/// Of the EXIF block of a JPEG or WebP.
ImageText text_of_exif(std::span<const std::byte> exif);

/// Throws SampleError when there are no pixels or more than the limit.
void check_size(std::int64_t width, std::int64_t height, const DecodeOptions& options);

/// Allocates an RGB image, after checking its size against the limit.
Image allocate_image(std::int64_t width, std::int64_t height, const DecodeOptions& options);

/// Composites `width` RGBA pixels on the background: rgb[c] = (a * c + (255 - a) * b) / 255,
/// rounded.
void composite_row(const std::uint8_t* rgba, std::int64_t width, const Color& background,
                   std::uint8_t* rgb);

}  // namespace crescendo::dataloader
