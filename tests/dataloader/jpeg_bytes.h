#pragma once

#include "tests/dataloader/test_data.h"

namespace crescendo::dataloader {

/// How a JPEG is written that encode_jpeg() would not write.
struct JpegForm {
  int width = 8;
  int height = 8;
  bool gray = false;
  int horizontal_sampling = 1;  ///< luma samples for one of chroma
  int vertical_sampling = 1;
  bool progressive = false;
  int restart_interval = 0;  ///< blocks between restart markers; 0: none
  int orientation = 1;       ///< EXIF
  int quality = 90;
};

/// A JPEG of a picture with detail everywhere, another for each seed.
Bytes jpeg_bytes(const JpegForm& form, std::uint64_t seed);

}  // namespace crescendo::dataloader
