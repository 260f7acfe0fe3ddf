#pragma once

#include <filesystem>

#include "vae/autoencoder.h"

namespace crescendo::vae {

/// No autoencoder at all: the latents are the pixels, [N, 3, H, W] in [-1, 1] before scaling, and
/// the diffusion model works on them. It has no weights; its folder is a config.json that no other
/// program knows.
class IdentityAutoencoder final : public Autoencoder {
 public:
  explicit IdentityAutoencoder(double scaling_factor = 1) : scaling_factor_(scaling_factor) {}

  const char* class_name() const override { return "IdentityAutoencoder"; }
  nlohmann::ordered_json config() const override;
  std::int64_t in_channels() const override { return 3; }
  std::int64_t latent_channels() const override { return 3; }
  std::int64_t downscale_factor() const override { return 1; }
  double scaling_factor() const override { return scaling_factor_; }
  double shift_factor() const override { return 0; }
  void set_scaling(double factor) override { scaling_factor_ = factor; }

 private:
  at::Tensor encode_whole(const at::Tensor& image) override { return image; }
  at::Tensor decode_whole(const at::Tensor& latents) override { return latents; }
  DiagonalGaussian posterior(const at::Tensor& encoded) const override;
  Tiling tiling(std::int64_t size) const override;

  double scaling_factor_;
};

/// The one of a folder's config.json. Throws UserError or DataError.
std::shared_ptr<IdentityAutoencoder> load_identity_autoencoder(const std::filesystem::path& folder);

}  // namespace crescendo::vae
