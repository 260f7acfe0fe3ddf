#include "unet/transformer.h"

#include <memory>

#include <ATen/Functions.h>

#include "core/group_norm.h"
#include "core/linear.h"
#include "core/module_list.h"
#include "unet/geglu.h"

namespace crescendo::unet {

namespace {

constexpr double kGroupNormEps = 1e-6;  // fixed by the reference, whatever norm_eps says

torch::nn::LayerNorm layer_norm(std::int64_t channels) {
  return torch::nn::LayerNorm(torch::nn::LayerNormOptions({channels}));
}

}  // namespace

FeedForwardImpl::FeedForwardImpl(std::int64_t channels) {
  const std::int64_t inner = 4 * channels;
  proj_in_ = torch::nn::Linear(channels, 2 * inner);
  proj_out_ = torch::nn::Linear(inner, channels);
  // The reference's names: net.0.proj and net.2; net.1 is its dropout, without parameters.
  const auto gate = std::make_shared<torch::nn::Module>();
  gate->register_module("proj", proj_in_);
  const auto net = std::make_shared<torch::nn::Module>();
  net->register_module("0", gate);
  net->register_module("2", proj_out_);
  register_module("net", net);
}

at::Tensor FeedForwardImpl::forward(const at::Tensor& rows) {
  return linear(proj_out_, geglu(proj_in_, rows));
}

TransformerBlockImpl::TransformerBlockImpl(std::int64_t channels, std::int64_t context_dim,
                                           std::int64_t heads) {
  norm1_ = register_module("norm1", layer_norm(channels));
  attn1_ = register_module("attn1", Attention(channels, channels, heads));
  norm2_ = register_module("norm2", layer_norm(channels));
  attn2_ = register_module("attn2", Attention(channels, context_dim, heads));
  norm3_ = register_module("norm3", layer_norm(channels));
  ff_ = register_module("ff", FeedForward(channels));
}

at::Tensor TransformerBlockImpl::forward(at::Tensor rows, const Context& context) {
  const at::Tensor normed = norm1_(rows);
  rows = rows + attn1_(normed, normed);
  rows = rows + attn2_(norm2_(rows), context.states, context.bias);
  return rows + ff_(norm3_(rows));
}

ProjectionImpl::ProjectionImpl(std::int64_t channels, bool linear) {
  const torch::nn::Linear initial(channels, channels);
  const at::Tensor& weight = initial->weight;
  // Detached last: a parameter that autograd knows as a view could not be changed in place.
  const at::Tensor stored = linear ? weight : weight.view({channels, channels, 1, 1});
  weight_ = register_parameter("weight", stored.detach());
  bias_ = register_parameter("bias", initial->bias.detach());
}

at::Tensor ProjectionImpl::forward(const at::Tensor& rows) {
  return linear(rows, weight_.flatten(1), bias_);
}

Transformer2DImpl::Transformer2DImpl(const TransformerOptions& options) {
  const std::int64_t channels = options.channels;
  norm_ = register_module(
      "norm", torch::nn::GroupNorm(
                  torch::nn::GroupNormOptions(options.groups, channels).eps(kGroupNormEps)));
  proj_in_ = register_module("proj_in", Projection(channels, options.linear_projection));
  for (std::int64_t i = 0; i < options.layers; ++i) {
    transformer_blocks_.emplace_back(channels, options.context_dim, options.heads);
  }
  register_list(*this, "transformer_blocks", transformer_blocks_);
  proj_out_ = register_module("proj_out", Projection(channels, options.linear_projection));
}

at::Tensor Transformer2DImpl::forward(const at::Tensor& x, const Context& context) {
  at::Tensor rows = proj_in_(to_rows(group_norm(norm_, context.routing(x))));
  for (TransformerBlock& block : transformer_blocks_) rows = block(rows, context);
  return x + to_image(proj_out_(rows), x);
}

}  // namespace crescendo::unet
