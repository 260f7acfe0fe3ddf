#pragma once

#include <vector>

#include <ATen/core/Tensor.h>

#include "dataloader/image.h"
#include "pipelines/shards/picture_file.h"

namespace crescendo::pipelines {

/// images: [N,3,H,W], clamped to [-1, 1] -> N pictures.
std::vector<dataloader::Image> tensor_to_pictures(const at::Tensor& images);

}  // namespace crescendo::pipelines
