#pragma once

#include <string_view>

#include <ATen/core/Tensor.h>

namespace crescendo::pipelines {

/// How images come to the size of a feature network; published numbers differ by it.
enum class FeatureResize {
  kClean,     ///< Pillow's bicubic filter on floats, cut to [0, 255]: clean-fid
  kLegacyTf,  ///< TensorFlow 1's bilinear, without antialiasing: torch-fidelity, the first FID
  kBilinear,  ///< PyTorch's bilinear, without antialiasing: pytorch-fid
  kNone,      ///< as they are
};

/// "clean", "legacy-tf", "bilinear" or "none". Throws UserError, naming `where`.
FeatureResize parse_feature_resize(std::string_view name, std::string_view where);

std::string_view name_of(FeatureResize resize);

/// images: uint8 [N,3,H,W] -> float32 [N,3,299,299] as the tool of that resize hands them to the
/// Inception: (x - 128) / 128, pytorch-fid 2 x / 255 - 1. Throws UserError for kNone and images of
/// less than 75 pixels a side, which the network cannot take.
at::Tensor inception_input(const at::Tensor& images, FeatureResize resize);

}  // namespace crescendo::pipelines
