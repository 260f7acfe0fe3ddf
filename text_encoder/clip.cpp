#include "text_encoder/clip.h"

#include <cmath>
#include <memory>

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>

#include "core/module_io.h"
#include "core/module_list.h"
#include "text_encoder/attention.h"

namespace crescendo::text_encoder {

namespace {

constexpr const char* kPrefix = "text_model";

torch::nn::LayerNorm layer_norm(const CLIPTextOptions& options) {
  return torch::nn::LayerNorm(
      torch::nn::LayerNormOptions({options.hidden_size}).eps(options.layer_norm_eps));
}

/// A module without a forward of its own, for the dots in a state dict's names.
std::shared_ptr<torch::nn::Module> group() { return std::make_shared<torch::nn::Module>(); }

}  // namespace

CLIPAttentionImpl::CLIPAttentionImpl(const CLIPTextOptions& options)
    : heads_(options.num_attention_heads) {
  const auto projection = [&](const char* name) {
    return register_module(name, torch::nn::Linear(options.hidden_size, options.hidden_size));
  };
  k_proj_ = projection("k_proj");
  v_proj_ = projection("v_proj");
  q_proj_ = projection("q_proj");
  out_proj_ = projection("out_proj");
}

at::Tensor CLIPAttentionImpl::forward(const at::Tensor& x, const at::Tensor& mask) {
  const double head_width = static_cast<double>(x.size(2)) / static_cast<double>(heads_);
  return out_proj_(multi_head_attention(q_proj_(x), k_proj_(x), v_proj_(x), heads_, mask,
                                        1.0 / std::sqrt(head_width)));
}

CLIPEncoderLayerImpl::CLIPEncoderLayerImpl(const CLIPTextOptions& options)
    : activation_(options.hidden_act) {
  attention_ = register_module("self_attn", CLIPAttention(options));
  norm1_ = register_module("layer_norm1", layer_norm(options));
  const auto mlp = register_module("mlp", group());
  fc1_ = mlp->register_module("fc1",
                              torch::nn::Linear(options.hidden_size, options.intermediate_size));
  fc2_ = mlp->register_module("fc2",
                              torch::nn::Linear(options.intermediate_size, options.hidden_size));
  norm2_ = register_module("layer_norm2", layer_norm(options));
}

at::Tensor CLIPEncoderLayerImpl::forward(const at::Tensor& x, const at::Tensor& mask) {
  const at::Tensor attended = x + attention_(norm1_(x), mask);
  return attended + fc2_(activate(fc1_(norm2_(attended)), activation_));
}

CLIPTextEmbeddingsImpl::CLIPTextEmbeddingsImpl(const CLIPTextOptions& options, bool position_ids) {
  token_embedding_ = register_module("token_embedding",
                                     torch::nn::Embedding(options.vocab_size, options.hidden_size));
  position_embedding_ =
      register_module("position_embedding",
                      torch::nn::Embedding(options.max_position_embeddings, options.hidden_size));
  if (position_ids) {
    register_buffer("position_ids",
                    at::arange(options.max_position_embeddings, at::kLong).unsqueeze(0));
  }
}

at::Tensor CLIPTextEmbeddingsImpl::forward(const at::Tensor& ids) {
  return token_embedding_(ids) + position_embedding_->weight.narrow(0, 0, ids.size(1));
}

CLIPTextModelImpl::CLIPTextModelImpl(const CLIPTextOptions& options, const CLIPTextNames& names)
    : options_(options) {
  const std::shared_ptr<torch::nn::Module> prefix =
      names.prefix ? register_module(kPrefix, group()) : nullptr;
  torch::nn::Module& root = prefix ? *prefix : *this;
  embeddings_ = root.register_module("embeddings", CLIPTextEmbeddings(options, names.position_ids));
  for (std::int64_t i = 0; i < options.num_hidden_layers; ++i) layers_.emplace_back(options);
  register_list(*root.register_module("encoder", group()), "layers", layers_);
  final_layer_norm_ = root.register_module("final_layer_norm", layer_norm(options));
}

at::Tensor CLIPTextModelImpl::forward(const at::Tensor& ids, const at::Tensor& mask) {
  const std::int64_t length = ids.size(1);
  at::Tensor attended =
      at::ones({1, 1, length, length}, at::TensorOptions(at::kBool).device(ids.device())).tril();
  if (options_.use_attention_mask) {
    attended = attended.logical_and(mask.view({mask.size(0), 1, 1, length}));
  }
  at::Tensor states = embeddings_(ids);
  for (CLIPEncoderLayer& layer : layers_) states = layer(states, attended);
  return final_layer_norm_(states);
}

CLIPTextModel load_clip_text_model(const std::filesystem::path& folder,
                                   const Placement& placement) {
  const std::filesystem::path config = folder / "config.json";
  const CLIPTextOptions options = read_clip_text_options(read_json_file(config), config.string());
  const WeightFiles files(weights_file_in(folder));
  files.require_parameters(count_parameters(options), config.string());
  const bool prefix = !files.contain("embeddings.token_embedding.weight");
  const std::string first = prefix ? std::string(kPrefix) + "." : "";
  return load_module<CLIPTextModel>(
      files, placement, options,
      CLIPTextNames{prefix, files.contain(first + "embeddings.position_ids")});
}

}  // namespace crescendo::text_encoder
