#include "text_encoder/t5.h"

#include <cmath>
#include <memory>

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/rsqrt.h>
#include <ATen/ops/where.h>
#include <torch/nn/modules/container/modulelist.h>

#include "core/error.h"
#include "core/module_io.h"
#include "text_encoder/attention.h"

namespace crescendo::text_encoder {

namespace {

/// Added to the scores of padding: nothing is left of them, in bfloat16 as well.
constexpr double kMaskedBias = -1e30;

torch::nn::Linear linear(std::int64_t in, std::int64_t out) {
  return torch::nn::Linear(torch::nn::LinearOptions(in, out).bias(false));
}

/// A module without a forward of its own, for the dots in a state dict's names.
std::shared_ptr<torch::nn::Module> group() { return std::make_shared<torch::nn::Module>(); }

}  // namespace

at::Tensor relative_position_buckets(std::int64_t length, const T5Options& options,
                                     at::Device device) {
  const std::int64_t buckets = options.relative_attention_num_buckets / 2;  // of one direction
  const std::int64_t exact = buckets / 2;
  const auto positions = at::arange(length, at::TensorOptions(device).dtype(at::kLong));
  const at::Tensor offset = positions.unsqueeze(0) - positions.unsqueeze(1);
  const at::Tensor distance = offset.abs();
  const double log_range = std::log(static_cast<double>(options.relative_attention_max_distance) /
                                    static_cast<double>(exact));
  // Clamped, because the logarithm of zero has no integer; those are exact ones anyway.
  const at::Tensor steps =
      (distance.clamp_min(exact).to(at::kFloat) / exact).log() / log_range * (buckets - exact);
  const at::Tensor logarithmic = (steps.to(at::kLong) + exact).clamp_max(buckets - 1);
  return at::where(distance < exact, distance, logarithmic) + (offset > 0).to(at::kLong) * buckets;
}

T5LayerNormImpl::T5LayerNormImpl(const T5Options& options)
    : eps_(options.layer_norm_epsilon),
      weight_(register_parameter("weight", at::ones({options.d_model}))) {}

at::Tensor T5LayerNormImpl::forward(const at::Tensor& x) {
  const at::Tensor mean_square = x.to(at::kFloat).square().mean(-1, /*keepdim=*/true);
  return weight_ * (x * at::rsqrt(mean_square + eps_)).to(weight_.scalar_type());
}

T5SelfAttentionLayerImpl::T5SelfAttentionLayerImpl(const T5Options& options, bool has_position_bias)
    : options_(options) {
  const std::int64_t inner = options.num_heads * options.d_kv;
  const auto attention = register_module("SelfAttention", group());
  q_ = attention->register_module("q", linear(options.d_model, inner));
  k_ = attention->register_module("k", linear(options.d_model, inner));
  v_ = attention->register_module("v", linear(options.d_model, inner));
  o_ = attention->register_module("o", linear(inner, options.d_model));
  if (has_position_bias) {
    relative_attention_bias_ = attention->register_module(
        "relative_attention_bias",
        torch::nn::Embedding(options.relative_attention_num_buckets, options.num_heads));
  }
  layer_norm_ = register_module("layer_norm", T5LayerNorm(options));
}

at::Tensor T5SelfAttentionLayerImpl::forward(const at::Tensor& x, const at::Tensor& bias) {
  const at::Tensor normed = layer_norm_(x);
  const at::Tensor attended = multi_head_attention(q_(normed), k_(normed), v_(normed),
                                                   options_.num_heads, bias, /*scale=*/1.0);
  return x + o_(attended);
}

at::Tensor T5SelfAttentionLayerImpl::position_bias(std::int64_t length) {
  const at::Device device = relative_attention_bias_->weight.device();
  const at::Tensor buckets = relative_position_buckets(length, options_, device);
  return relative_attention_bias_(buckets).permute({2, 0, 1}).unsqueeze(0);
}

T5FeedForwardLayerImpl::T5FeedForwardLayerImpl(const T5Options& options) {
  const auto dense = register_module("DenseReluDense", group());
  wi_ = dense->register_module(options.is_gated() ? "wi_0" : "wi",
                               linear(options.d_model, options.d_ff));
  if (options.is_gated()) {
    wi_gate_ = dense->register_module("wi_1", linear(options.d_model, options.d_ff));
  }
  wo_ = dense->register_module("wo", linear(options.d_ff, options.d_model));
  layer_norm_ = register_module("layer_norm", T5LayerNorm(options));
}

at::Tensor T5FeedForwardLayerImpl::forward(const at::Tensor& x) {
  const at::Tensor normed = layer_norm_(x);
  if (wi_gate_.is_empty()) return x + wo_(activate(wi_(normed), "relu"));
  return x + wo_(activate(wi_(normed), "gelu_new") * wi_gate_(normed));
}

T5EncoderModelImpl::T5EncoderModelImpl(const T5Options& options, const T5EmbeddingNames& names)
    : options_(options), embedding_(options.vocab_size, options.d_model) {
  if (names.shared || !names.embed_tokens) register_module("shared", embedding_);
  const auto encoder = register_module("encoder", group());
  if (names.embed_tokens) encoder->register_module("embed_tokens", embedding_);
  torch::nn::ModuleList blocks;
  for (std::int64_t i = 0; i < options.num_layers; ++i) {
    attentions_.emplace_back(options, /*has_position_bias=*/i == 0);
    feed_forwards_.emplace_back(options);
    const auto block = group();
    block->register_module("layer",
                           torch::nn::ModuleList(attentions_.back(), feed_forwards_.back()));
    blocks->push_back(block);
  }
  encoder->register_module("block", blocks);
  final_layer_norm_ = encoder->register_module("final_layer_norm", T5LayerNorm(options));
}

at::Tensor T5EncoderModelImpl::forward(const at::Tensor& ids, const at::Tensor& mask) {
  at::Tensor states = embedding_(ids);
  const at::Tensor padding = mask.logical_not().view({mask.size(0), 1, 1, mask.size(1)});
  const at::Tensor bias = attentions_.front()
                              ->position_bias(ids.size(1))
                              .expand({ids.size(0), -1, -1, -1})
                              .masked_fill(padding, kMaskedBias);
  for (std::size_t i = 0; i < attentions_.size(); ++i) {
    states = feed_forwards_[i](attentions_[i](states, bias));
  }
  return final_layer_norm_(states);
}

std::int64_t T5EncoderModelImpl::max_positions() const {
  // Relative positions have no end; the memory of the scores, quadratic in the length, does.
  constexpr std::int64_t kMaxPositions = 4096;
  return kMaxPositions;
}

T5EncoderModel load_t5(const std::filesystem::path& folder, const Placement& placement) {
  if (placement.dtype == at::kHalf) {
    throw UserError(
        "{}: T5's activations overflow in float16; expected float32 or bfloat16, found float16",
        folder.string());
  }
  const std::filesystem::path config = folder / "config.json";
  const T5Options options = read_t5_options(read_json_file(config), config.string());
  const WeightFiles files(weights_file_in(folder));
  files.require_parameters(count_parameters(options), config.string());
  return load_module<T5EncoderModel>(
      files, placement, options,
      T5EmbeddingNames{files.contain("shared.weight"),
                       files.contain("encoder.embed_tokens.weight")});
}

}  // namespace crescendo::text_encoder
