#pragma once

#include <cstdint>

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

namespace crescendo::vae {

/// Self-attention over all positions with one head as wide as the channels, added to its input:
/// x + to_out(softmax(q k^T / sqrt(C)) v), q, k, v linear in group_norm(x).
class AttentionImpl : public torch::nn::Module {
 public:
  AttentionImpl(std::int64_t channels, std::int64_t groups);

  /// x: [N, C, H, W] -> [N, C, H, W].
  at::Tensor forward(const at::Tensor& x);

 private:
  torch::nn::GroupNorm group_norm_{nullptr};
  torch::nn::Linear to_q_{nullptr};
  torch::nn::Linear to_k_{nullptr};
  torch::nn::Linear to_v_{nullptr};
  torch::nn::Linear to_out_{nullptr};
};
TORCH_MODULE(Attention);

}  // namespace crescendo::vae
