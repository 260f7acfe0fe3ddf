#pragma once

#include <cstdint>

#include <torch/nn/module.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/pimpl.h>

#include "vae/tiny_options.h"

namespace crescendo::vae {

/// relu(x + conv(x)) with three 3x3 convolutions, a ReLU between each two.
class TinyBlockImpl : public torch::nn::Module {
 public:
  explicit TinyBlockImpl(std::int64_t channels);

  /// x: [N, C, H, W] -> [N, C, H, W].
  at::Tensor forward(const at::Tensor& x);

 private:
  torch::nn::Sequential conv_;
};
TORCH_MODULE(TinyBlock);

/// Image to latents.
class TinyEncoderImpl : public torch::nn::Module {
 public:
  explicit TinyEncoderImpl(const AutoencoderTinyOptions& options);

  /// image: [N, in_channels, H, W] in [-1, 1] -> [N, latent_channels, H/f, W/f].
  at::Tensor forward(const at::Tensor& image);

 private:
  torch::nn::Sequential layers_;
};
TORCH_MODULE(TinyEncoder);

/// Latents to an image.
class TinyDecoderImpl : public torch::nn::Module {
 public:
  explicit TinyDecoderImpl(const AutoencoderTinyOptions& options);

  /// latents: [N, latent_channels, h, w], softly clamped to [-3, 3] -> [N, out_channels, h*f, w*f]
  /// in about [-1, 1].
  at::Tensor forward(const at::Tensor& latents);

 private:
  torch::nn::Sequential layers_;
};
TORCH_MODULE(TinyDecoder);

}  // namespace crescendo::vae
