#pragma once

#include <filesystem>

#include "vae/decoder.h"
#include "vae/diagonal_gaussian.h"
#include "vae/encoder.h"
#include "vae/options.h"

namespace crescendo::vae {

/// The KL autoencoder of latent diffusion (Rombach et al., arXiv 2112.10752, section 3.1), with
/// the config keys and state-dict names of diffusers' AutoencoderKL.
/// f below is the downscale factor, 2^(levels - 1).
class AutoencoderKLImpl : public torch::nn::Module {
 public:
  /// Throws UserError when the options contradict each other.
  explicit AutoencoderKLImpl(AutoencoderKLOptions options);

  /// image: [N, in_channels, H, W] in [-1, 1]; throws UserError unless H and W are multiples of f.
  /// The posterior is over [N, latent_channels, H/f, W/f], not scaled.
  DiagonalGaussian encode(const at::Tensor& image);

  /// latents: [N, latent_channels, h, w], not scaled -> [N, out_channels, h*f, w*f], about [-1, 1].
  at::Tensor decode(const at::Tensor& latents);

  /// Where the gradients of several reconstruction losses are balanced against each other.
  const at::Tensor& last_decoder_weight() const { return decoder_->last_weight(); }

  const AutoencoderKLOptions& options() const { return options_; }
  std::int64_t downscale_factor() const { return options_.downscale_factor(); }

  /// What the diffusion model's latents are multiplied by: 1 / deviation over the training data.
  void set_scaling(double factor) { options_.scaling_factor = factor; }

 private:
  AutoencoderKLOptions options_;
  Encoder encoder_{nullptr};
  Decoder decoder_{nullptr};
  torch::nn::Conv2d quant_conv_{nullptr};
  torch::nn::Conv2d post_quant_conv_{nullptr};
};
TORCH_MODULE(AutoencoderKL);

/// Opens a diffusers component folder: config.json and weights, which must fit it exactly.
/// Throws UserError or DataError.
AutoencoderKL load_autoencoder_kl(const std::filesystem::path& folder);

/// Writes the folder that load_autoencoder_kl and diffusers open, weights as `dtype`.
void save_autoencoder_kl(AutoencoderKL& model, const std::filesystem::path& folder,
                         at::ScalarType dtype = at::kFloat);

}  // namespace crescendo::vae
