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

}  // namespace crescendo::dataloader
