#pragma once

#include <cstdint>
#include <vector>

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include "unet/attention.h"
#include "unet/conditioning.h"

namespace crescendo::unet {

struct TransformerOptions {
  std::int64_t channels;
  std::int64_t heads;
  std::int64_t context_dim;  ///< D
  std::int64_t layers;       ///< transformer blocks
  std::int64_t groups;       ///< of the group norm before them
  bool linear_projection;    ///< the projections' weights are stored [C, C], not [C, C, 1, 1]
};

/// Gated feed-forward (Shazeer, arXiv 2002.05202): w2(a * gelu(g)), (a, g) = w1(x), four times as
/// wide inside: [N, S, C] -> [N, S, C].
class FeedForwardImpl : public torch::nn::Module {
 public:
  explicit FeedForwardImpl(std::int64_t channels);
  at::Tensor forward(const at::Tensor& rows);

 private:
  torch::nn::Linear proj_in_{nullptr};
  torch::nn::Linear proj_out_{nullptr};
};
TORCH_MODULE(FeedForward);

/// Self-attention, cross-attention and feed-forward, each after a layer norm and added to its
/// input: [N, S, C] -> [N, S, C].
class TransformerBlockImpl : public torch::nn::Module {
 public:
  TransformerBlockImpl(std::int64_t channels, std::int64_t context_dim, std::int64_t heads);
  at::Tensor forward(at::Tensor rows, const Context& context);

 private:
  torch::nn::LayerNorm norm1_{nullptr};
  Attention attn1_{nullptr};
  torch::nn::LayerNorm norm2_{nullptr};
  Attention attn2_{nullptr};
  torch::nn::LayerNorm norm3_{nullptr};
  FeedForward ff_{nullptr};
};
TORCH_MODULE(TransformerBlock);

/// A linear map of each row; its weight is stored as a 1x1 convolution's unless `linear`.
class ProjectionImpl : public torch::nn::Module {
 public:
  ProjectionImpl(std::int64_t channels, bool linear);

  /// [N, S, C] -> [N, S, C].
  at::Tensor forward(const at::Tensor& rows);

 private:
  at::Tensor weight_;
  at::Tensor bias_;
};
TORCH_MODULE(Projection);

/// Transformer blocks over the positions of an image, added to it (diffusers' Transformer2DModel
/// over continuous input).
class Transformer2DImpl : public torch::nn::Module {
 public:
  explicit Transformer2DImpl(const TransformerOptions& options);

  /// x: [N, C, H, W] -> [N, C, H, W]. The context's routing masks what norm sees.
  at::Tensor forward(const at::Tensor& x, const Context& context);

 private:
  torch::nn::GroupNorm norm_{nullptr};
  Projection proj_in_{nullptr};
  std::vector<TransformerBlock> transformer_blocks_;
  Projection proj_out_{nullptr};
};
TORCH_MODULE(Transformer2D);

}  // namespace crescendo::unet
