#include "vae/autoencoder_tiny.h"

#include <algorithm>
#include <utility>

#include "core/fields.h"
#include "core/module_io.h"

namespace crescendo::vae {

namespace {

constexpr std::int64_t kTileSize = 512;  ///< pixels

}  // namespace

AutoencoderTinyImpl::AutoencoderTinyImpl(AutoencoderTinyOptions options)
    : options_(std::move(options)) {
  check(options_, class_name());
  encoder_ = register_module("encoder", TinyEncoder(options_));
  decoder_ = register_module("decoder", TinyDecoder(options_));
}

nlohmann::ordered_json AutoencoderTinyImpl::config() const {
  AutoencoderTinyOptions options = options_;
  return model_config_to_json(class_name(), fields(options), autoencoder_tiny_rules());
}

at::Tensor AutoencoderTinyImpl::encode_whole(const at::Tensor& image) { return encoder_(image); }

at::Tensor AutoencoderTinyImpl::decode_whole(const at::Tensor& latents) {
  return decoder_(latents);
}

DiagonalGaussian AutoencoderTinyImpl::posterior(const at::Tensor& encoded) const {
  return DiagonalGaussian::point(encoded);
}

Tiling AutoencoderTinyImpl::tiling(std::int64_t size) const {
  // The overlap is an eighth of the tile; of at least two positions, or the blending has no room.
  const std::int64_t overlap =
      std::max<std::int64_t>((size > 0 ? size : kTileSize) / downscale_factor() / 8, 2);
  return {.size = 8 * overlap, .overlap = overlap, .blend = Blend::kCanvas};
}

AutoencoderTiny load_autoencoder_tiny(const std::filesystem::path& folder,
                                      const Placement& placement) {
  const std::filesystem::path config = folder / "config.json";
  return load_module<AutoencoderTiny>(
      WeightFiles(weights_file_in(folder)), placement,
      read_autoencoder_tiny_options(read_json_file(config), config.string()));
}

}  // namespace crescendo::vae
