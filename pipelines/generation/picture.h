#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include <ATen/core/Tensor.h>

#include "dataloader/image.h"
#include "pipelines/shards/picture_file.h"

namespace crescendo::pipelines {

/// images: [N,3,H,W], clamped to [-1, 1] -> N pictures.
std::vector<dataloader::Image> tensor_to_pictures(const at::Tensor& images);

/// Decodes a JPEG, PNG or WebP, as the loader does. Throws UserError naming the file.
dataloader::Image read_picture(const std::filesystem::path& file);

/// [3,H,W], float32 in [-1, 1].
at::Tensor picture_to_tensor(const dataloader::Image& picture);

/// Resized, with antialiasing, until it covers `width` x `height`, and cut to the middle of that.
dataloader::Image fit_picture(const dataloader::Image& picture, std::int64_t width,
                              std::int64_t height);

}  // namespace crescendo::pipelines
