#pragma once

#include <filesystem>
#include <vector>

#include <torch/nn/modules/embedding.h>

#include "core/module_io.h"
#include "unet/blocks.h"
#include "unet/conditioning.h"
#include "unet/embeddings.h"
#include "unet/options.h"

namespace crescendo::unet {

/// The U-Net of latent diffusion (Rombach et al., arXiv 2112.10752), with the config keys and
/// state-dict names of diffusers' UNet2DConditionModel.
class UNet2DConditionModelImpl : public torch::nn::Module {
 public:
  /// Throws UserError when the options contradict each other.
  explicit UNet2DConditionModelImpl(UNet2DConditionOptions options);

  /// sample: [N, in_channels, H, W], timesteps: [N], integers or fractions
  /// -> [N, out_channels, H, W]. Throws UserError unless H and W are multiples of the downscale
  /// factor and the conditioning is exactly what the options ask for.
  at::Tensor forward(const at::Tensor& sample, const at::Tensor& timesteps,
                     const Conditioning& conditioning);

  /// Trains in less memory and more time: the backward pass computes the activations inside each
  /// layer again. Gradients are the same to the bit.
  void enable_gradient_checkpointing();

  const UNet2DConditionOptions& options() const { return options_; }

 private:
  void build_down();
  void build_mid();
  void build_up();

  /// silu of the time embedding plus the class embedding, [N, E].
  at::Tensor embed(const at::Tensor& timesteps, const at::Tensor& class_labels,
                   at::ScalarType dtype);

  UNet2DConditionOptions options_;
  torch::nn::Conv2d conv_in_{nullptr};
  TimestepEmbedding time_embedding_{nullptr};
  torch::nn::Embedding class_embedding_{nullptr};
  std::vector<DownBlock> down_blocks_;
  MidBlock mid_block_{nullptr};
  std::vector<UpBlock> up_blocks_;
  torch::nn::GroupNorm conv_norm_out_{nullptr};
  torch::nn::Conv2d conv_out_{nullptr};
};
TORCH_MODULE(UNet2DConditionModel);

/// Opens a diffusers component folder: config.json and weights, which must fit it exactly.
/// Throws UserError or DataError.
UNet2DConditionModel load_unet(const std::filesystem::path& folder,
                               const Placement& placement = {});

/// Writes the folder that load_unet and diffusers open, weights as `dtype`.
void save_unet(UNet2DConditionModel& model, const std::filesystem::path& folder,
               at::ScalarType dtype = at::kFloat);

}  // namespace crescendo::unet
