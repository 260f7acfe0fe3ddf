#include "vae/autoencoder_kl.h"

#include <utility>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/module_io.h"

namespace crescendo::vae {

namespace {

constexpr const char* kClassName = "AutoencoderKL";

torch::nn::Conv2d pointwise_conv(std::int64_t channels) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, channels, 1));
}

void check_image(const at::Tensor& image, const AutoencoderKLOptions& options) {
  const std::int64_t factor = options.downscale_factor();
  if (image.dim() == 4 && image.size(1) == options.in_channels && image.size(2) % factor == 0 &&
      image.size(3) % factor == 0) {
    return;
  }
  throw UserError("{}: image; expected [N, {}, H, W] with H and W multiples of {}, found [{}]",
                  kClassName, options.in_channels, factor, fmt::join(image.sizes(), ", "));
}

void check_latents(const at::Tensor& latents, const AutoencoderKLOptions& options) {
  if (latents.dim() == 4 && latents.size(1) == options.latent_channels) return;
  throw UserError("{}: latents; expected [N, {}, h, w], found [{}]", kClassName,
                  options.latent_channels, fmt::join(latents.sizes(), ", "));
}

}  // namespace

AutoencoderKLImpl::AutoencoderKLImpl(AutoencoderKLOptions options) : options_(std::move(options)) {
  check(options_, kClassName);
  encoder_ = register_module("encoder", Encoder(options_));
  decoder_ = register_module("decoder", Decoder(options_));
  if (options_.use_quant_conv) {
    quant_conv_ = register_module("quant_conv", pointwise_conv(2 * options_.latent_channels));
  }
  if (options_.use_post_quant_conv) {
    post_quant_conv_ = register_module("post_quant_conv", pointwise_conv(options_.latent_channels));
  }
}

DiagonalGaussian AutoencoderKLImpl::encode(const at::Tensor& image) {
  check_image(image, options_);
  const at::Tensor moments = encoder_(image);
  return DiagonalGaussian::from_moments(quant_conv_ ? quant_conv_(moments) : moments);
}

at::Tensor AutoencoderKLImpl::decode(const at::Tensor& latents) {
  check_latents(latents, options_);
  return decoder_(post_quant_conv_ ? post_quant_conv_(latents) : latents);
}

AutoencoderKL load_autoencoder_kl(const std::filesystem::path& folder) {
  const std::filesystem::path config = folder / "config.json";
  AutoencoderKL model(read_autoencoder_kl_options(read_json_file(config), config.string()));
  load_weights(*model, weights_file_in(folder));
  return model;
}

void save_autoencoder_kl(AutoencoderKL& model, const std::filesystem::path& folder,
                         at::ScalarType dtype) {
  AutoencoderKLOptions options = model->options();
  write_file_atomically(
      folder / "config.json",
      model_config_to_json(kClassName, fields(options), autoencoder_kl_rules()).dump(2) + "\n");
  save_weights(*model, folder / "diffusion_pytorch_model.safetensors", dtype);
}

}  // namespace crescendo::vae
