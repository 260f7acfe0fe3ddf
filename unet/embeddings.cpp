#include "unet/embeddings.h"

#include <cmath>

#include <ATen/Functions.h>

namespace crescendo::unet {

at::Tensor timestep_embedding(const at::Tensor& timesteps, std::int64_t dim, bool flip_sin_to_cos,
                              std::int64_t freq_shift) {
  const std::int64_t half = dim / 2;
  const double step = -std::log(10000.0) / static_cast<double>(half - freq_shift);
  const at::Tensor frequencies =
      at::exp(step * at::arange(half, timesteps.options().dtype(at::kFloat)));
  const at::Tensor angles = at::outer(timesteps.to(at::kFloat), frequencies);
  const at::Tensor sines = at::sin(angles);
  const at::Tensor cosines = at::cos(angles);
  return flip_sin_to_cos ? at::cat({cosines, sines}, 1) : at::cat({sines, cosines}, 1);
}

TimestepEmbeddingImpl::TimestepEmbeddingImpl(std::int64_t in_channels, std::int64_t emb_channels) {
  linear_1_ = register_module("linear_1", torch::nn::Linear(in_channels, emb_channels));
  linear_2_ = register_module("linear_2", torch::nn::Linear(emb_channels, emb_channels));
}

at::Tensor TimestepEmbeddingImpl::forward(const at::Tensor& x) {
  return linear_2_(at::silu(linear_1_(x)));
}

}  // namespace crescendo::unet
