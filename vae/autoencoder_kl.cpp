#include "vae/autoencoder_kl.h"

#include <algorithm>
#include <array>
#include <string>
#include <string_view>
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

namespace {

/// The published autoencoders of Stable Diffusion have the names that diffusers gave their
/// attention before its version 0.17.
std::string current_name(const std::string& stored) {
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> kRenamed = {
      {{".query.", ".to_q."},
       {".key.", ".to_k."},
       {".value.", ".to_v."},
       {".proj_attn.", ".to_out.0."}}};
  if (stored.find(".attentions.") == std::string::npos) return stored;
  std::string name = stored;
  for (const auto& [old, current] : kRenamed) {
    const std::size_t at = name.find(old);
    if (at != std::string::npos) name.replace(at, old.size(), current);
  }
  return name;
}

}  // namespace

AutoencoderKL load_autoencoder_kl(const std::filesystem::path& folder, const Placement& placement) {
  const std::filesystem::path config = folder / "config.json";
  const AutoencoderKLOptions options =
      read_autoencoder_kl_options(read_json_file(config), config.string());
  const WeightFiles files(weights_file_in(folder));
  AutoencoderKL model = [&] {
    const SkipInit skip_init;
    return AutoencoderKL(options);
  }();
  load_weights(*model, files, placement, current_name);
  return model;
}

}  // namespace crescendo::vae
