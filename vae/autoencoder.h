#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>

#include <nlohmann/json.hpp>

#include <torch/nn/module.h>

#include "core/module_io.h"
#include "vae/diagonal_gaussian.h"
#include "vae/tiling.h"

namespace crescendo::vae {

/// What every autoencoder is to the diffusion model that works on its latents. f below is
/// downscale_factor().
class Autoencoder : public torch::nn::Module {
 public:
  /// image: [N, in_channels, H, W] in [-1, 1]; throws UserError unless H and W are multiples of f.
  /// The posterior is over [N, latent_channels, H/f, W/f], not scaled.
  DiagonalGaussian encode(const at::Tensor& image);

  /// latents: [N, latent_channels, h, w], not scaled -> [N, out_channels, h*f, w*f], about [-1, 1].
  at::Tensor decode(const at::Tensor& latents);

  /// What the diffusion model works on: (latents - shift_factor) * scaling_factor; and back.
  at::Tensor scale(const at::Tensor& latents) const;
  at::Tensor unscale(const at::Tensor& latents) const;

  /// From now on one image at a time is encoded or decoded: less memory, the same result.
  void enable_slicing() { slicing_ = true; }

  /// From now on large images are encoded and decoded in overlapping tiles (vae/tiling.h) of
  /// `size` pixels, rounded to what the model can do; 0: as the reference, by the model's config.
  void enable_tiling(std::int64_t size = 0);

  /// The reference's name for the class, and what config.json says of it.
  virtual const char* class_name() const = 0;
  virtual nlohmann::ordered_json config() const = 0;

  virtual std::int64_t in_channels() const = 0;
  virtual std::int64_t latent_channels() const = 0;

  /// Pixels of the image to one of the latents, along each side.
  virtual std::int64_t downscale_factor() const = 0;

  virtual double scaling_factor() const = 0;
  virtual double shift_factor() const = 0;

  /// What the diffusion model's latents are multiplied by: 1 / deviation over the training data.
  virtual void set_scaling(double factor) = 0;

  /// Throws UserError for float16, which the activations of published autoencoders overflow.
  using torch::nn::Module::to;
  void to(at::Device device, at::ScalarType dtype, bool non_blocking = false) override;
  void to(at::ScalarType dtype, bool non_blocking = false) override;

 private:
  /// image -> what posterior() is made of; latents -> image.
  virtual at::Tensor encode_whole(const at::Tensor& image) = 0;
  virtual at::Tensor decode_whole(const at::Tensor& latents) = 0;
  virtual DiagonalGaussian posterior(const at::Tensor& encoded) const = 0;

  /// Tiles of about `size` pixels; 0: of the reference's size.
  virtual Tiling tiling(std::int64_t size) const = 0;

  at::Tensor in_parts(const at::Tensor& input, const TileScale& scale, const TileFunction& apply);

  bool slicing_ = false;
  std::optional<Tiling> tiling_;
};

/// Opens a diffusers component folder, config.json and weights, as the class that its `_class_name`
/// says; AutoencoderKL when it says none. Throws UserError, for float16 as well, or DataError.
std::shared_ptr<Autoencoder> load_autoencoder(const std::filesystem::path& folder,
                                              const Placement& placement = {});

/// Writes the folder that load_autoencoder and diffusers open, weights as `dtype`.
void save_autoencoder(const Autoencoder& model, const std::filesystem::path& folder,
                      at::ScalarType dtype = at::kFloat);

}  // namespace crescendo::vae
