#pragma once

#include <cstddef>
#include <span>

#include "dataloader/image.h"

namespace crescendo::dataloader {

/// The orientation, 1 to 8, that an EXIF block (TIFF header and IFD0; a leading "Exif\0\0" is
/// passed over) tells. 1, upright, where it tells none or is damaged. EXIF 2.32, tag 0x0112.
int exif_orientation(std::span<const std::byte> exif);

/// Turns and mirrors the stored image so that it stands upright.
Image apply_orientation(Image image, int orientation);
ImagePart apply_orientation(ImagePart part, int orientation);

/// The size of a stored image when it stands upright, and the other way round.
Size turned(Size size, int orientation);

/// Where a window of the upright image lies in the stored one, which is `stored` in size.
Window stored_window(const Window& upright, Size stored, int orientation);

}  // namespace crescendo::dataloader
