#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <torch/nn/module.h>
#include <torch/nn/modules/conv.h>
#include <torch/nn/modules/linear.h>
#include <torch/nn/modules/normalization.h>
#include <torch/nn/pimpl.h>

#include "core/fields.h"
#include "core/module_io.h"
#include "text_encoder/clip.h"
#include "text_encoder/tokenizer.h"

namespace crescendo::pipelines {

/// What transformers' CLIPVisionConfig says.
struct ClipVisionOptions {
  std::int64_t hidden_size = 768;
  std::int64_t intermediate_size = 3072;
  std::int64_t num_hidden_layers = 12;
  std::int64_t num_attention_heads = 12;
  std::int64_t image_size = 224;
  std::int64_t patch_size = 32;
  std::string hidden_act = "quick_gelu";
  double layer_norm_eps = 1e-5;
};

/// How a CLIPModel's parameters are shaped and named.
struct ClipModelOptions {
  text_encoder::CLIPTextOptions text;
  ClipVisionOptions vision;
  std::int64_t projection_dim = 512;
  bool position_ids = false;  ///< stored, as older versions did
};

/// transformers' CLIPModel (Radford et al. 2021): images and texts in one space.
class ClipModelImpl : public torch::nn::Module {
 public:
  explicit ClipModelImpl(const ClipModelOptions& options);

  /// pixels: normalised [N,3,S,S] -> [N,P].
  at::Tensor image_features(const at::Tensor& pixels);

  /// ids, mask: [N,L] -> [N,P], of the last token that is none of padding.
  at::Tensor text_features(const at::Tensor& ids, const at::Tensor& mask);

  const ClipModelOptions& options() const { return options_; }

 private:
  void register_vision(const ClipVisionOptions& options, bool position_ids);

  ClipModelOptions options_;
  text_encoder::CLIPTextModel text_model_{nullptr};
  at::Tensor class_embedding_;
  torch::nn::Conv2d patch_embedding_{nullptr};
  at::Tensor position_embedding_;
  torch::nn::LayerNorm pre_norm_{nullptr};
  std::vector<text_encoder::CLIPEncoderLayer> layers_;
  torch::nn::LayerNorm post_norm_{nullptr};
  torch::nn::Linear visual_projection_{nullptr};
  torch::nn::Linear text_projection_{nullptr};
};
TORCH_MODULE(ClipModel);

/// Opens a folder with a CLIPModel's config.json and weights. Throws UserError or DataError.
ClipModel load_clip_model(const std::filesystem::path& folder, at::Device device);

/// uint8 [n,3,H,W], each of one size -> [N,3,side,side]: the short side made `side` by Pillow's
/// bicubic, the middle cut out and normalised, as transformers' CLIPImageProcessorPil does.
at::Tensor clip_pixels(std::span<const at::Tensor> images, std::int64_t side);

/// A CLIP model's folder, as transformers saves a CLIPModel with its tokenizer.
class Clip {
 public:
  /// Throws UserError or DataError.
  Clip(const std::filesystem::path& folder, at::Device device);

  /// uint8 [n,3,H,W], each of one size -> [N,P], float32.
  at::Tensor images(std::span<const at::Tensor> images);

  /// -> [N,P], float32; what is beyond the model's length is cut.
  at::Tensor texts(const std::vector<std::string>& texts);

  const std::string& sha256() const { return sha256_; }

 private:
  at::Device device_;
  ClipModel model_{nullptr};
  std::unique_ptr<text_encoder::Tokenizer> tokenizer_;
  std::string sha256_;
};

}  // namespace crescendo::pipelines
