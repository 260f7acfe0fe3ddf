#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include <torch/nn/module.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/pimpl.h>

#include "core/module_io.h"
#include "text_encoder/t5_options.h"
#include "text_encoder/text_model.h"

namespace crescendo::text_encoder {

/// The class of each distance between two tokens, int64 [length, length], row: query, column: key
/// (Raffel et al. 2020, 2.1): single distances first, then logarithmic steps up to the largest.
at::Tensor relative_position_buckets(std::int64_t length, const T5Options& options,
                                     at::Device device);

/// Root-mean-square norm without a bias, x / sqrt(mean(x^2) + eps) * weight. [..., D] -> [..., D].
class T5LayerNormImpl : public torch::nn::Module {
 public:
  explicit T5LayerNormImpl(const T5Options& options);
  at::Tensor forward(const at::Tensor& x);

 private:
  double eps_;
  at::Tensor weight_;
};
TORCH_MODULE(T5LayerNorm);

/// x + o(attention(q, k, v)), q, k, v linear in norm(x), the scores not scaled.
class T5SelfAttentionLayerImpl : public torch::nn::Module {
 public:
  /// The first block's layer owns the position bias that all blocks share.
  T5SelfAttentionLayerImpl(const T5Options& options, bool has_position_bias);

  /// x: [N, L, D], bias: [N, H, L, L], added to the scores -> [N, L, D].
  at::Tensor forward(const at::Tensor& x, const at::Tensor& bias);

  /// [1, H, length, length]. Of the first block only.
  at::Tensor position_bias(std::int64_t length);

 private:
  T5Options options_;
  torch::nn::Linear q_{nullptr};
  torch::nn::Linear k_{nullptr};
  torch::nn::Linear v_{nullptr};
  torch::nn::Linear o_{nullptr};
  torch::nn::Embedding relative_attention_bias_{nullptr};
  T5LayerNorm layer_norm_{nullptr};
};
TORCH_MODULE(T5SelfAttentionLayer);

/// x + wo(relu(wi(norm(x)))), or x + wo(gelu(wi_0(norm(x))) * wi_1(norm(x))) when gated.
/// x: [N, L, D] -> [N, L, D].
class T5FeedForwardLayerImpl : public torch::nn::Module {
 public:
  explicit T5FeedForwardLayerImpl(const T5Options& options);
  at::Tensor forward(const at::Tensor& x);

 private:
  torch::nn::Linear wi_{nullptr};       ///< wi, or wi_0
  torch::nn::Linear wi_gate_{nullptr};  ///< wi_1, when gated
  torch::nn::Linear wo_{nullptr};
  T5LayerNorm layer_norm_{nullptr};
};
TORCH_MODULE(T5FeedForwardLayer);

/// The names under which a file holds the one token embedding.
struct T5EmbeddingNames {
  bool shared = true;         ///< shared.weight
  bool embed_tokens = false;  ///< encoder.embed_tokens.weight
};

/// transformers' T5EncoderModel: its last_hidden_state, without dropout.
class T5EncoderModelImpl : public TextModel {
 public:
  explicit T5EncoderModelImpl(const T5Options& options, const T5EmbeddingNames& names = {});

  at::Tensor forward(const at::Tensor& ids, const at::Tensor& mask) override;
  std::int64_t dim() const override { return options_.d_model; }
  std::int64_t vocab_size() const override { return options_.vocab_size; }
  std::int64_t max_positions() const override;

 private:
  T5Options options_;
  torch::nn::Embedding embedding_{nullptr};
  std::vector<T5SelfAttentionLayer> attentions_;
  std::vector<T5FeedForwardLayer> feed_forwards_;
  T5LayerNorm final_layer_norm_{nullptr};
};
TORCH_MODULE(T5EncoderModel);

/// Opens a folder with a T5 encoder's config.json and weights.
T5EncoderModel load_t5(const std::filesystem::path& folder, const Placement& placement = {});

}  // namespace crescendo::text_encoder
