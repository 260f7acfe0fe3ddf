#pragma once

#include <cstdint>

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include "unet/task_routing.h"

namespace crescendo::unet {

/// Pixels as rows: [N, C, H, W] -> [N, H*W, C], contiguous.
at::Tensor to_rows(const at::Tensor& x);

/// The inverse, of `like`'s height and width: [N, H*W, C] -> [N, C, H, W]. Contiguous, since a view
/// would make the convolutions after it slower by a third.
at::Tensor to_image(const at::Tensor& rows, const at::Tensor& like);

/// softmax(q k^T / sqrt(d) + bias) v in each of `heads` heads of width d = C / heads.
/// query: [N, S, C], key, value: [N, L, C], bias: [N, 1, 1, L] or undefined -> [N, S, C].
at::Tensor multi_head_attention(const at::Tensor& query, const at::Tensor& key,
                                const at::Tensor& value, std::int64_t heads,
                                const at::Tensor& bias = {});

/// The same by ATen, whatever kernels there are.
at::Tensor aten_attention(const at::Tensor& query, const at::Tensor& key, const at::Tensor& value,
                          std::int64_t heads, const at::Tensor& bias = {});

/// Attention of a transformer block; only the output projection has a bias.
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(std::int64_t channels, std::int64_t context_dim, std::int64_t heads);

  /// rows: [N, S, C], context: [N, L, context_dim] (`rows` itself for self-attention), bias as
  /// above -> [N, S, C].
  at::Tensor forward(const at::Tensor& rows, const at::Tensor& context,
                     const at::Tensor& bias = {});

 private:
  std::int64_t heads_;
  torch::nn::Linear to_q_{nullptr};
  torch::nn::Linear to_k_{nullptr};
  torch::nn::Linear to_v_{nullptr};
  torch::nn::Linear to_out_{nullptr};
};
TORCH_MODULE(Attention);

/// Self-attention among the positions of an image, added to it:
/// x + to_out(attention(q, k, v)), q, k, v linear in group_norm(x).
class SpatialAttentionImpl : public torch::nn::Module {
 public:
  SpatialAttentionImpl(std::int64_t channels, std::int64_t heads, std::int64_t groups, double eps);

  /// x: [N, C, H, W] -> [N, C, H, W]. `routing` masks what group_norm sees.
  at::Tensor forward(const at::Tensor& x, const TaskRouting& routing = {});

 private:
  std::int64_t heads_;
  torch::nn::GroupNorm group_norm_{nullptr};
  torch::nn::Linear to_q_{nullptr};
  torch::nn::Linear to_k_{nullptr};
  torch::nn::Linear to_v_{nullptr};
  torch::nn::Linear to_out_{nullptr};
};
TORCH_MODULE(SpatialAttention);

}  // namespace crescendo::unet
