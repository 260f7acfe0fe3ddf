#pragma once

#include <ATen/core/Tensor.h>

#include "vae/autoencoder.h"

namespace crescendo::pipelines {

/// About the colours that latents decode to, without decoding them: one linear map from the
/// channels of a position to RGB. It is fitted by least squares to what the autoencoder makes of a
/// chart of smooth colours, so that it holds for any autoencoder.
class LatentPreview {
 public:
  /// Encodes the chart, 16 x 16 positions.
  LatentPreview(vae::Autoencoder& vae, at::Device device);

  /// latents: [N,C,h,w], scaled as the diffusion model works on them -> [N,3,h,w], about [-1, 1].
  at::Tensor colors(const at::Tensor& latents) const;

 private:
  at::Tensor weights_;  ///< [C,3]
  at::Tensor bias_;     ///< [3]
};

}  // namespace crescendo::pipelines
