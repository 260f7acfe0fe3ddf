#pragma once

#include <ATen/core/Tensor.h>

namespace crescendo::vae {

/// The posterior of an image's latents: independent normals.
struct DiagonalGaussian {
  at::Tensor mean;    ///< [N, C, h, w]
  at::Tensor logvar;  ///< [N, C, h, w], log of the variance, in [-30, 20]; of a point -inf

  /// Splits an encoder's output, [N, 2C, h, w], and clamps the second half.
  static DiagonalGaussian from_moments(const at::Tensor& moments);

  /// The posterior that is certain: sample() is `mean` exactly, kl() infinite.
  static DiagonalGaussian point(const at::Tensor& mean);

  /// mean + exp(logvar / 2) * noise; noise: [N, C, h, w], standard normal.
  at::Tensor sample(const at::Tensor& noise) const;

  const at::Tensor& mode() const { return mean; }

  /// [N]: KL divergence from the standard normal in nats, summed over C, h and w.
  at::Tensor kl() const;
};

}  // namespace crescendo::vae
