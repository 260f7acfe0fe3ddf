#include "vae/autoencoder_kl.h"

#include <algorithm>
#include <utility>

#include "core/fields.h"
#include "core/module_io.h"

namespace crescendo::vae {

namespace {

torch::nn::Conv2d pointwise_conv(std::int64_t channels) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(channels, channels, 1));
}

}  // namespace

AutoencoderKLImpl::AutoencoderKLImpl(AutoencoderKLOptions options) : options_(std::move(options)) {
  check(options_, class_name());
  encoder_ = register_module("encoder", Encoder(options_));
  decoder_ = register_module("decoder", Decoder(options_));
  if (options_.use_quant_conv) {
    quant_conv_ = register_module("quant_conv", pointwise_conv(2 * options_.latent_channels));
  }
  if (options_.use_post_quant_conv) {
    post_quant_conv_ = register_module("post_quant_conv", pointwise_conv(options_.latent_channels));
  }
}

nlohmann::ordered_json AutoencoderKLImpl::config() const {
  AutoencoderKLOptions options = options_;
  return model_config_to_json(class_name(), fields(options), autoencoder_kl_rules());
}

at::Tensor AutoencoderKLImpl::encode_whole(const at::Tensor& image) {
  const at::Tensor moments = encoder_(image);
  return quant_conv_ ? quant_conv_(moments) : moments;
}

at::Tensor AutoencoderKLImpl::decode_whole(const at::Tensor& latents) {
  return decoder_(post_quant_conv_ ? post_quant_conv_(latents) : latents);
}

DiagonalGaussian AutoencoderKLImpl::posterior(const at::Tensor& encoded) const {
  return DiagonalGaussian::from_moments(encoded);
}

Tiling AutoencoderKLImpl::tiling(std::int64_t size) const {
  // The overlap is a quarter of the tile, and whole: the reference gives images of the wrong size
  // where it is not.
  const std::int64_t overlap =
      std::max<std::int64_t>((size > 0 ? size : options_.sample_size) / downscale_factor() / 4, 1);
  return {.size = 4 * overlap, .overlap = overlap, .blend = Blend::kNeighbours};
}

AutoencoderKL load_autoencoder_kl(const std::filesystem::path& folder) {
  const std::filesystem::path config = folder / "config.json";
  AutoencoderKL model(read_autoencoder_kl_options(read_json_file(config), config.string()));
  load_weights(*model, weights_file_in(folder));
  return model;
}

}  // namespace crescendo::vae
