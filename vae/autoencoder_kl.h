#pragma once

#include <filesystem>

#include "vae/autoencoder.h"
#include "vae/decoder.h"
#include "vae/encoder.h"
#include "vae/options.h"

namespace crescendo::vae {

/// The KL autoencoder of latent diffusion (Rombach et al., arXiv 2112.10752, section 3.1), with
/// the config keys and state-dict names of diffusers' AutoencoderKL.
class AutoencoderKLImpl final : public Autoencoder {
 public:
  /// Throws UserError when the options contradict each other.
  explicit AutoencoderKLImpl(AutoencoderKLOptions options);

  /// Where the gradients of several reconstruction losses are balanced against each other.
  const at::Tensor& last_decoder_weight() const { return decoder_->last_weight(); }

  const AutoencoderKLOptions& options() const { return options_; }
  const char* class_name() const override { return "AutoencoderKL"; }
  nlohmann::ordered_json config() const override;
  std::int64_t in_channels() const override { return options_.in_channels; }
  std::int64_t latent_channels() const override { return options_.latent_channels; }
  std::int64_t downscale_factor() const override { return options_.downscale_factor(); }
  double scaling_factor() const override { return options_.scaling_factor; }
  double shift_factor() const override { return options_.shift_factor.value_or(0); }
  void set_scaling(double factor) override { options_.scaling_factor = factor; }

 private:
  at::Tensor encode_whole(const at::Tensor& image) override;
  at::Tensor decode_whole(const at::Tensor& latents) override;
  DiagonalGaussian posterior(const at::Tensor& encoded) const override;
  Tiling tiling(std::int64_t size) const override;

  AutoencoderKLOptions options_;
  Encoder encoder_{nullptr};
  Decoder decoder_{nullptr};
  torch::nn::Conv2d quant_conv_{nullptr};
  torch::nn::Conv2d post_quant_conv_{nullptr};
};
TORCH_MODULE(AutoencoderKL);

/// Opens a diffusers component folder: config.json and weights, which must fit it exactly.
/// Throws UserError or DataError.
AutoencoderKL load_autoencoder_kl(const std::filesystem::path& folder,
                                  const Placement& placement = {});

}  // namespace crescendo::vae
