#include "pipelines/evaluation/inception_input.h"

#include <vector>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "core/error.h"

namespace crescendo::pipelines {

namespace {

constexpr std::int64_t kSide = 299;
constexpr std::int64_t kSmallest = 75;

/// TensorFlow 1's bilinear along one dimension: pixel i is taken at i * in / out, not at the
/// centers of pixels.
at::Tensor stretch(const at::Tensor& x, std::int64_t dim) {
  const std::int64_t in = x.size(dim);
  const auto scale = static_cast<float>(static_cast<double>(in) / kSide);
  const at::Tensor places = at::arange(kSide, x.options()) * scale;
  const at::Tensor below = places.to(at::kLong);
  std::vector<std::int64_t> shape(4, 1);
  shape[static_cast<std::size_t>(dim)] = kSide;
  const at::Tensor share = (places - below).view(shape);
  const at::Tensor from = x.index_select(dim, below);
  return from + (x.index_select(dim, (below + 1).clamp_max(in - 1)) - from) * share;
}

}  // namespace

FeatureResize parse_feature_resize(std::string_view name, std::string_view where) {
  if (name == "clean") return FeatureResize::kClean;
  if (name == "legacy-tf") return FeatureResize::kLegacyTf;
  if (name == "bilinear") return FeatureResize::kBilinear;
  if (name == "none") return FeatureResize::kNone;
  throw UserError("{}: expected clean, legacy-tf, bilinear or none, found '{}'", where, name);
}

std::string_view name_of(FeatureResize resize) {
  switch (resize) {
    case FeatureResize::kClean:
      return "clean";
    case FeatureResize::kLegacyTf:
      return "legacy-tf";
    case FeatureResize::kBilinear:
      return "bilinear";
    case FeatureResize::kNone:
      break;
  }
  return "none";
}

at::Tensor inception_input(const at::Tensor& images, FeatureResize resize) {
  at::Tensor x = images.to(at::kFloat);
  switch (resize) {
    case FeatureResize::kBilinear:
      return at::upsample_bilinear2d(x / 255, {kSide, kSide}, /*align_corners=*/false) * 2 - 1;
    case FeatureResize::kClean:
      // In float64, as Pillow works out its weights: float32 ones are off by 0.004 of 255.
      x = at::_upsample_bicubic2d_aa(x.to(at::kDouble), {kSide, kSide}, /*align_corners=*/false)
              .clamp(0, 255)
              .to(at::kFloat);
      break;
    case FeatureResize::kLegacyTf:
      x = stretch(stretch(x, 3), 2);
      break;
    case FeatureResize::kNone:
      if (images.size(2) < kSmallest || images.size(3) < kSmallest) {
        throw UserError("resize none: expected images of at least {} pixels a side, found {}x{}",
                        kSmallest, images.size(3), images.size(2));
      }
  }
  return (x - 128) / 128;
}

}  // namespace crescendo::pipelines
