#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include <torch/nn/module.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include "core/module_io.h"
#include "text_encoder/bert_options.h"
#include "text_encoder/text_model.h"

namespace crescendo::text_encoder {

/// What a BertModel's state dict may hold beyond what the encoder computes with.
struct BertExtras {
  bool pooler = false;        ///< pooler.dense, of no use without a classifier
  bool position_ids = false;  ///< the numbers 0, 1, ..., which older versions stored
};

/// Linear, added to the residual, layer norm. x: [N, L, in], residual: [N, L, D] -> [N, L, D].
class BertOutputImpl : public torch::nn::Module {
 public:
  BertOutputImpl(std::int64_t in, const BertOptions& options);
  at::Tensor forward(const at::Tensor& x, const at::Tensor& residual);

 private:
  torch::nn::Linear dense_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
};
TORCH_MODULE(BertOutput);

/// Self-attention with its residual. x: [N, L, D], mask: bool [N, 1, 1, L] -> [N, L, D].
class BertAttentionImpl : public torch::nn::Module {
 public:
  explicit BertAttentionImpl(const BertOptions& options);
  at::Tensor forward(const at::Tensor& x, const at::Tensor& mask);

 private:
  std::int64_t heads_;
  torch::nn::Linear query_{nullptr};
  torch::nn::Linear key_{nullptr};
  torch::nn::Linear value_{nullptr};
  BertOutput output_{nullptr};
};
TORCH_MODULE(BertAttention);

/// Attention, then the feed-forward layer. x: [N, L, D], mask: bool [N, 1, 1, L] -> [N, L, D].
class BertLayerImpl : public torch::nn::Module {
 public:
  explicit BertLayerImpl(const BertOptions& options);
  at::Tensor forward(const at::Tensor& x, const at::Tensor& mask);

 private:
  std::string activation_;
  BertAttention attention_{nullptr};
  torch::nn::Linear intermediate_{nullptr};
  BertOutput output_{nullptr};
};
TORCH_MODULE(BertLayer);

/// Token, position and segment embeddings, summed and normalised. ids: [N, L] -> [N, L, D].
class BertEmbeddingsImpl : public torch::nn::Module {
 public:
  BertEmbeddingsImpl(const BertOptions& options, bool position_ids);
  at::Tensor forward(const at::Tensor& ids);

 private:
  torch::nn::Embedding word_embeddings_{nullptr};
  torch::nn::Embedding position_embeddings_{nullptr};
  torch::nn::Embedding token_type_embeddings_{nullptr};
  torch::nn::LayerNorm norm_{nullptr};
};
TORCH_MODULE(BertEmbeddings);

/// transformers' BertModel as an encoder of single sentences (Devlin et al. 2019): its
/// last_hidden_state, without dropout.
class BertModelImpl : public TextModel {
 public:
  explicit BertModelImpl(const BertOptions& options, const BertExtras& extras = {});

  at::Tensor forward(const at::Tensor& ids, const at::Tensor& mask) override;
  std::int64_t dim() const override { return options_.hidden_size; }
  std::int64_t vocab_size() const override { return options_.vocab_size; }
  std::int64_t max_positions() const override { return options_.max_position_embeddings; }

 private:
  BertOptions options_;
  BertEmbeddings embeddings_{nullptr};
  std::vector<BertLayer> layers_;
};
TORCH_MODULE(BertModel);

/// Opens a folder with a BERT's config.json and weights.
BertModel load_bert(const std::filesystem::path& folder, const Placement& placement = {});

}  // namespace crescendo::text_encoder
