#pragma once

#include <cstdint>
#include <vector>

#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/pimpl.h>

#include "vae/attention.h"
#include "vae/resnet_block.h"

namespace crescendo::vae {

/// Stride-2 3x3 convolution, padded by one row below and one column to the right only:
/// [N, C, H, W] -> [N, C, H/2, W/2].
class DownsampleImpl : public torch::nn::Module {
 public:
  explicit DownsampleImpl(std::int64_t channels);
  at::Tensor forward(const at::Tensor& x);

 private:
  torch::nn::Conv2d conv_{nullptr};
};
TORCH_MODULE(Downsample);

/// Nearest-neighbour doubling and a 3x3 convolution: [N, C, H, W] -> [N, C, 2H, 2W].
class UpsampleImpl : public torch::nn::Module {
 public:
  explicit UpsampleImpl(std::int64_t channels);
  at::Tensor forward(const at::Tensor& x);

 private:
  torch::nn::Conv2d conv_{nullptr};
};
TORCH_MODULE(Upsample);

/// Shape of one level of the encoder or decoder.
struct LevelOptions {
  std::int64_t in_channels;
  std::int64_t out_channels;
  std::int64_t layers;  ///< residual blocks
  std::int64_t groups;
  bool resample;  ///< change the resolution after the residual blocks
};

/// [N, in, H, W] -> [N, out, H/2, W/2], or of the same resolution when not resampling.
class DownEncoderBlockImpl : public torch::nn::Module {
 public:
  explicit DownEncoderBlockImpl(const LevelOptions& options);
  at::Tensor forward(at::Tensor x);

 private:
  std::vector<ResnetBlock> resnets_;
  Downsample downsample_{nullptr};
};
TORCH_MODULE(DownEncoderBlock);

/// [N, in, H, W] -> [N, out, 2H, 2W], or of the same resolution when not resampling.
class UpDecoderBlockImpl : public torch::nn::Module {
 public:
  explicit UpDecoderBlockImpl(const LevelOptions& options);
  at::Tensor forward(at::Tensor x);

 private:
  std::vector<ResnetBlock> resnets_;
  Upsample upsample_{nullptr};
};
TORCH_MODULE(UpDecoderBlock);

/// Two residual blocks, with self-attention between them when asked for: keeps the shape.
class MidBlockImpl : public torch::nn::Module {
 public:
  MidBlockImpl(std::int64_t channels, std::int64_t groups, bool add_attention);
  at::Tensor forward(const at::Tensor& x);

 private:
  std::vector<ResnetBlock> resnets_;
  Attention attention_{nullptr};
};
TORCH_MODULE(MidBlock);

}  // namespace crescendo::vae
