#pragma once

#include <cstdint>
#include <vector>

#include "unet/attention_layers.h"
#include "unet/resample.h"
#include "unet/resnet_block.h"

namespace crescendo::unet {

/// Outputs of the way down that the way up consumes, last first.
using Skips = std::vector<at::Tensor>;

struct DownBlockOptions {
  std::int64_t in_channels;
  std::int64_t out_channels;
  std::int64_t layers;
  bool downsample;
  std::int64_t downsample_padding;
  ResnetOptions resnet;
  AttentionOptions attention;
};

/// DownBlock2D, AttnDownBlock2D or CrossAttnDownBlock2D of the reference, by its attention's kind.
class DownBlockImpl : public torch::nn::Module {
 public:
  explicit DownBlockImpl(const DownBlockOptions& options);

  /// x: [N, in, H, W] -> [N, out, H/2, W/2], or [N, out, H, W] when not downsampling. Appends the
  /// output of every layer, and of the downsampling, to `skips`.
  at::Tensor forward(at::Tensor x, const at::Tensor& activated_emb, const Context& context,
                     Skips& skips);

  /// Computes the activations inside its layers again for the backward pass.
  void enable_gradient_checkpointing() { recompute_ = true; }

 private:
  std::vector<ResnetBlock> resnets_;
  AttentionLayers attentions_;
  Downsample downsample_{nullptr};
  bool recompute_ = false;
};
TORCH_MODULE(DownBlock);

struct MidBlockOptions {
  std::int64_t channels;
  ResnetOptions resnet;
  AttentionOptions attention;
};

/// UNetMidBlock2DCrossAttn (residual block, attention, residual block) or, without attention,
/// UNetMidBlock2D (one residual block): keeps the shape.
class MidBlockImpl : public torch::nn::Module {
 public:
  explicit MidBlockImpl(const MidBlockOptions& options);
  at::Tensor forward(at::Tensor x, const at::Tensor& activated_emb, const Context& context);
  void enable_gradient_checkpointing() { recompute_ = true; }

 private:
  std::vector<ResnetBlock> resnets_;
  AttentionLayers attentions_;
  bool recompute_ = false;
};
TORCH_MODULE(MidBlock);

struct UpBlockOptions {
  std::int64_t in_channels;
  std::int64_t out_channels;
  std::int64_t skip_channels;  ///< of the last skip, which comes from the level above
  std::int64_t layers;
  bool upsample;
  ResnetOptions resnet;
  AttentionOptions attention;
};

/// UpBlock2D, AttnUpBlock2D or CrossAttnUpBlock2D of the reference, by its attention's kind.
class UpBlockImpl : public torch::nn::Module {
 public:
  explicit UpBlockImpl(const UpBlockOptions& options);

  /// x: [N, in, H, W] -> [N, out, 2H, 2W], or [N, out, H, W] when not upsampling. Takes one tensor
  /// off the end of `skips` for each layer.
  at::Tensor forward(at::Tensor x, const at::Tensor& activated_emb, const Context& context,
                     Skips& skips);
  void enable_gradient_checkpointing() { recompute_ = true; }

 private:
  std::vector<ResnetBlock> resnets_;
  AttentionLayers attentions_;
  Upsample upsample_{nullptr};
  bool recompute_ = false;
};
TORCH_MODULE(UpBlock);

}  // namespace crescendo::unet
