#include "text_encoder/bert.h"

#include <cmath>
#include <optional>

#include <ATen/ops/arange.h>

#include "core/module_io.h"
#include "core/module_list.h"
#include "text_encoder/attention.h"

namespace crescendo::text_encoder {

namespace {

torch::nn::LayerNorm layer_norm(const BertOptions& options) {
  return torch::nn::LayerNorm(
      torch::nn::LayerNormOptions({options.hidden_size}).eps(options.layer_norm_eps));
}

/// A module without a forward of its own, for the dots in a state dict's names.
std::shared_ptr<torch::nn::Module> group() { return std::make_shared<torch::nn::Module>(); }

}  // namespace

BertOutputImpl::BertOutputImpl(std::int64_t in, const BertOptions& options) {
  dense_ = register_module("dense", torch::nn::Linear(in, options.hidden_size));
  norm_ = register_module("LayerNorm", layer_norm(options));
}

at::Tensor BertOutputImpl::forward(const at::Tensor& x, const at::Tensor& residual) {
  return norm_(dense_(x) + residual);
}

BertAttentionImpl::BertAttentionImpl(const BertOptions& options)
    : heads_(options.num_attention_heads) {
  const std::int64_t width = options.hidden_size;
  const auto self = register_module("self", group());
  query_ = self->register_module("query", torch::nn::Linear(width, width));
  key_ = self->register_module("key", torch::nn::Linear(width, width));
  value_ = self->register_module("value", torch::nn::Linear(width, width));
  output_ = register_module("output", BertOutput(width, options));
}

at::Tensor BertAttentionImpl::forward(const at::Tensor& x, const at::Tensor& mask) {
  const double head_width = static_cast<double>(x.size(2)) / static_cast<double>(heads_);
  const at::Tensor attended = multi_head_attention(query_(x), key_(x), value_(x), heads_, mask,
                                                   1.0 / std::sqrt(head_width));
  return output_(attended, x);
}

BertLayerImpl::BertLayerImpl(const BertOptions& options) : activation_(options.hidden_act) {
  attention_ = register_module("attention", BertAttention(options));
  const auto intermediate = register_module("intermediate", group());
  intermediate_ = intermediate->register_module(
      "dense", torch::nn::Linear(options.hidden_size, options.intermediate_size));
  output_ = register_module("output", BertOutput(options.intermediate_size, options));
}

at::Tensor BertLayerImpl::forward(const at::Tensor& x, const at::Tensor& mask) {
  const at::Tensor attended = attention_(x, mask);
  return output_(activate(intermediate_(attended), activation_), attended);
}

BertEmbeddingsImpl::BertEmbeddingsImpl(const BertOptions& options, bool position_ids) {
  const auto embedding = [&](const char* name, std::int64_t rows,
                             std::optional<std::int64_t> padding = std::nullopt) {
    return register_module(
        name, torch::nn::Embedding(
                  torch::nn::EmbeddingOptions(rows, options.hidden_size).padding_idx(padding)));
  };
  word_embeddings_ = embedding("word_embeddings", options.vocab_size, options.pad_token_id);
  position_embeddings_ = embedding("position_embeddings", options.max_position_embeddings);
  token_type_embeddings_ = embedding("token_type_embeddings", options.type_vocab_size);
  norm_ = register_module("LayerNorm", layer_norm(options));
  if (position_ids) {
    register_buffer("position_ids",
                    at::arange(options.max_position_embeddings, at::kLong).unsqueeze(0));
  }
}

at::Tensor BertEmbeddingsImpl::forward(const at::Tensor& ids) {
  const at::Tensor positions = position_embeddings_->weight.narrow(0, 0, ids.size(1));
  const at::Tensor first_segment = token_type_embeddings_->weight[0];
  return norm_(word_embeddings_(ids) + first_segment + positions);
}

BertModelImpl::BertModelImpl(const BertOptions& options, const BertExtras& extras)
    : options_(options) {
  embeddings_ = register_module("embeddings", BertEmbeddings(options, extras.position_ids));
  for (std::int64_t i = 0; i < options.num_hidden_layers; ++i) layers_.emplace_back(options);
  register_list(*register_module("encoder", group()), "layer", layers_);
  if (extras.pooler) {
    register_module("pooler", group())
        ->register_module("dense", torch::nn::Linear(options.hidden_size, options.hidden_size));
  }
}

at::Tensor BertModelImpl::forward(const at::Tensor& ids, const at::Tensor& mask) {
  const at::Tensor attended = mask.view({mask.size(0), 1, 1, mask.size(1)});
  at::Tensor states = embeddings_(ids);
  for (BertLayer& layer : layers_) states = layer(states, attended);
  return states;
}

BertModel load_bert(const std::filesystem::path& folder, const Placement& placement) {
  const std::filesystem::path config = folder / "config.json";
  const BertOptions options = read_bert_options(read_json_file(config), config.string());
  const WeightFiles files(weights_file_in(folder));
  files.require_parameters(count_parameters(options), config.string());
  return load_module<BertModel>(
      files, placement, options,
      BertExtras{files.contain("pooler.dense.weight"), files.contain("embeddings.position_ids")});
}

}  // namespace crescendo::text_encoder
