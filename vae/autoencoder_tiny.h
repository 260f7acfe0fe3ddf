#pragma once

#include <filesystem>

#include "vae/autoencoder.h"
#include "vae/tiny_layers.h"
#include "vae/tiny_options.h"

namespace crescendo::vae {

/// A small autoencoder distilled from an AutoencoderKL, whose latents it shares (TAESD, Bohan),
/// with the config keys and state-dict names of diffusers' AutoencoderTiny. Its posterior is a
/// point.
class AutoencoderTinyImpl final : public Autoencoder {
 public:
  /// Throws UserError when the options contradict each other.
  explicit AutoencoderTinyImpl(AutoencoderTinyOptions options);

  const AutoencoderTinyOptions& options() const { return options_; }

  const char* class_name() const override { return "AutoencoderTiny"; }
  nlohmann::ordered_json config() const override;
  std::int64_t in_channels() const override { return options_.in_channels; }
  std::int64_t latent_channels() const override { return options_.latent_channels; }
  std::int64_t downscale_factor() const override { return options_.downscale_factor(); }
  double scaling_factor() const override { return options_.scaling_factor; }
  double shift_factor() const override { return options_.shift_factor; }
  void set_scaling(double factor) override { options_.scaling_factor = factor; }

 private:
  at::Tensor encode_whole(const at::Tensor& image) override;
  at::Tensor decode_whole(const at::Tensor& latents) override;
  DiagonalGaussian posterior(const at::Tensor& encoded) const override;
  Tiling tiling(std::int64_t size) const override;

  AutoencoderTinyOptions options_;
  TinyEncoder encoder_{nullptr};
  TinyDecoder decoder_{nullptr};
};
TORCH_MODULE(AutoencoderTiny);

/// Opens a diffusers component folder: config.json and weights, which must fit it exactly.
/// Throws UserError or DataError.
AutoencoderTiny load_autoencoder_tiny(const std::filesystem::path& folder,
                                      const Placement& placement = {});

}  // namespace crescendo::vae
