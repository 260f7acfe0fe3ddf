#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "dataloader/image.h"
#include "pipelines/serving/request_body.h"

namespace crescendo::pipelines {

enum class ImageFit {
  kStretch,  ///< to the size, whatever the proportions
  kCrop,     ///< covers the size; what stands over on two sides is cut off
};

/// The file of a picture, which is base64, or a data URL with that. Throws ApiError 422, naming
/// `field`.
std::vector<std::byte> parse_image_file(const Json& value, const std::string& field);

/// The picture of such a file, fitted to `size`. The picture itself may have
/// four times `max_pixels`. Throws ApiError 422, naming `field`.
dataloader::Image parse_image(const Json& value, const std::string& field, dataloader::Size size,
                              ImageFit fit, std::int64_t max_pixels);

}  // namespace crescendo::pipelines
