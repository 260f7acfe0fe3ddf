#pragma once

#include <cstdint>

#include "dataloader/sample_reader.h"

namespace crescendo::pipelines {

/// What pack does to images.
struct ImageChanges {
  std::int64_t short_side = 0;  ///< larger images are scaled to it; 0: none is
  bool verify = false;          ///< decode those too that are not scaled
};

/// Applies the changes to the image members (suffix jpg, jpeg, jpe, jfif, png, webp) of a sample. A
/// scaled image stands upright and becomes a JPEG of quality 95, or a PNG where it has
/// transparency. An image that cannot be decoded is a defect of the sample. Thread-safe.
void change_images(dataloader::RawSample& sample, const ImageChanges& changes);

}  // namespace crescendo::pipelines
