#pragma once

#include <cstdint>

#include <torch/nn/module.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

namespace crescendo::unet {

/// Sinusoids of the timesteps (Ho et al., arXiv 2006.11239, appendix B), float32. With half =
/// dim / 2, frequency i is 10000^(-i / (half - freq_shift)).
/// timesteps: [N], integers or fractions; dim: even -> [N, dim], sines then cosines, or the reverse
/// when flipped.
at::Tensor timestep_embedding(const at::Tensor& timesteps, std::int64_t dim, bool flip_sin_to_cos,
                              std::int64_t freq_shift);

/// linear_2(silu(linear_1(x))): [N, in_channels] -> [N, emb_channels].
class TimestepEmbeddingImpl : public torch::nn::Module {
 public:
  TimestepEmbeddingImpl(std::int64_t in_channels, std::int64_t emb_channels);
  at::Tensor forward(const at::Tensor& x);

 private:
  torch::nn::Linear linear_1_{nullptr};
  torch::nn::Linear linear_2_{nullptr};
};
TORCH_MODULE(TimestepEmbedding);

}  // namespace crescendo::unet
