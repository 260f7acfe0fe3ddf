#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "dataloader/image.h"

namespace crescendo::dataloader {

/// The orientation, 1 to 8, that an EXIF block (TIFF header and IFD0; a leading "Exif\0\0" is
/// passed over) tells. 1, upright, where it tells none or is damaged. EXIF 2.32, tag 0x0112.
int exif_orientation(std::span<const std::byte> exif);

/// An EXIF block whose one entry is the UserComment `text`, UTF-8, as "UNICODE" (EXIF 2.32, 4.6.5;
/// tag 0x9286): where Stable Diffusion's tools write what made a JPEG or WebP.
std::vector<std::byte> exif_with_comment(std::string_view text);

/// The UserComment of an EXIF block, as UTF-8: UTF-16 in the order of the block, or ASCII. "" where
/// there is none or it is damaged.
std::string exif_comment(std::span<const std::byte> exif);

/// Turns and mirrors the stored image so that it stands upright.
Image apply_orientation(Image image, int orientation);
ImagePart apply_orientation(ImagePart part, int orientation);

/// The size of a stored image when it stands upright, and the other way round.
Size turned(Size size, int orientation);

/// Where a window of the upright image lies in the stored one, which is `stored` in size.
Window stored_window(const Window& upright, Size stored, int orientation);

}  // namespace crescendo::dataloader
