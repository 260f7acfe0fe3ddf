#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include <torch/nn/module.h>
#include <torch/nn/modules/embedding.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include "core/module_io.h"
#include "text_encoder/clip_options.h"
#include "text_encoder/text_model.h"

namespace crescendo::text_encoder {

/// How a file names a CLIPTextModel's parameters, and what it holds beyond them.
struct CLIPTextNames {
  bool prefix = true;         ///< "text_model." first, as published; transformers 5 leaves it out
  bool position_ids = false;  ///< the numbers 0, 1, ..., which older versions stored
};

/// out_proj(attention(q, k, v)), q, k, v linear in x.
/// x: [N, L, D], mask: bool [N or 1, 1, L, L] -> [N, L, D].
class CLIPAttentionImpl : public torch::nn::Module {
 public:
  explicit CLIPAttentionImpl(const CLIPTextOptions& options);
  at::Tensor forward(const at::Tensor& x, const at::Tensor& mask);

 private:
  std::int64_t heads_;
  torch::nn::Linear q_proj_{nullptr};
  torch::nn::Linear k_proj_{nullptr};
  torch::nn::Linear v_proj_{nullptr};
  torch::nn::Linear out_proj_{nullptr};
};
TORCH_MODULE(CLIPAttention);

/// h = x + attention(norm1(x)); h + fc2(activation(fc1(norm2(h)))).
/// x: [N, L, D], mask: bool [N or 1, 1, L, L] -> [N, L, D].
class CLIPEncoderLayerImpl : public torch::nn::Module {
 public:
  explicit CLIPEncoderLayerImpl(const CLIPTextOptions& options);
  at::Tensor forward(const at::Tensor& x, const at::Tensor& mask);

 private:
  std::string activation_;
  CLIPAttention attention_{nullptr};
  torch::nn::LayerNorm norm1_{nullptr};
  torch::nn::Linear fc1_{nullptr};
  torch::nn::Linear fc2_{nullptr};
  torch::nn::LayerNorm norm2_{nullptr};
};
TORCH_MODULE(CLIPEncoderLayer);

/// Token and position embeddings, summed. ids: [N, L] -> [N, L, D].
class CLIPTextEmbeddingsImpl : public torch::nn::Module {
 public:
  CLIPTextEmbeddingsImpl(const CLIPTextOptions& options, bool position_ids);
  at::Tensor forward(const at::Tensor& ids);

 private:
  torch::nn::Embedding token_embedding_{nullptr};
  torch::nn::Embedding position_embedding_{nullptr};
};
TORCH_MODULE(CLIPTextEmbeddings);

/// transformers' CLIPTextModel (Radford et al. 2021): its last_hidden_state, after the final norm.
/// A token attends to itself and those before it. StableDiffusionPipeline does not mask the padding
/// of a CLIP, so forward() leaves its mask aside unless the options say use_attention_mask.
class CLIPTextModelImpl : public TextModel {
 public:
  explicit CLIPTextModelImpl(const CLIPTextOptions& options, const CLIPTextNames& names = {});

  at::Tensor forward(const at::Tensor& ids, const at::Tensor& mask) override;
  std::int64_t dim() const override { return options_.hidden_size; }
  std::int64_t vocab_size() const override { return options_.vocab_size; }
  std::int64_t max_positions() const override { return options_.max_position_embeddings; }

 private:
  CLIPTextOptions options_;
  CLIPTextEmbeddings embeddings_{nullptr};
  std::vector<CLIPEncoderLayer> layers_;
  torch::nn::LayerNorm final_layer_norm_{nullptr};
};
TORCH_MODULE(CLIPTextModel);

/// Opens a folder with a CLIP text encoder's config.json and weights, under either kind of names.
CLIPTextModel load_clip_text_model(const std::filesystem::path& folder,
                                   const Placement& placement = {});

}  // namespace crescendo::text_encoder
