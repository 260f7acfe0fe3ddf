#include "vae/autoencoder.h"

#include <array>
#include <string_view>
#include <vector>

#include <ATen/Functions.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/fields.h"
#include "core/module_io.h"
#include "vae/autoencoder_kl.h"
#include "vae/autoencoder_tiny.h"
#include "vae/identity_autoencoder.h"

namespace crescendo::vae {

namespace {

struct Architecture {
  std::string_view class_name;  ///< as config.json names it
  std::shared_ptr<Autoencoder> (*load)(const std::filesystem::path& folder,
                                       const Placement& placement);
};

constexpr std::array kArchitectures = {
    Architecture{"AutoencoderKL",
                 [](const std::filesystem::path& folder,
                    const Placement& placement) -> std::shared_ptr<Autoencoder> {
                   return load_autoencoder_kl(folder, placement).ptr();
                 }},
    Architecture{"AutoencoderTiny",
                 [](const std::filesystem::path& folder,
                    const Placement& placement) -> std::shared_ptr<Autoencoder> {
                   return load_autoencoder_tiny(folder, placement).ptr();
                 }},
    Architecture{"IdentityAutoencoder",
                 [](const std::filesystem::path& folder, const Placement&)
                     -> std::shared_ptr<Autoencoder> { return load_identity_autoencoder(folder); }},
};

void check_dtype(std::string_view where, at::ScalarType dtype) {
  if (dtype != at::kHalf) return;
  throw UserError(
      "{}: an autoencoder is never run in float16, which its activations overflow; expected "
      "float32, found float16",
      where);
}

}  // namespace

DiagonalGaussian Autoencoder::encode(const at::Tensor& image) {
  const std::int64_t f = downscale_factor();
  if (image.dim() != 4 || image.size(1) != in_channels() || image.size(2) % f != 0 ||
      image.size(3) % f != 0) {
    throw UserError("{}: image; expected [N, {}, H, W] with H and W multiples of {}, found [{}]",
                    class_name(), in_channels(), f, fmt::join(image.sizes(), ", "));
  }
  return posterior(in_parts(image, {.input = f, .output = 1},
                            [&](const at::Tensor& part) { return encode_whole(part); }));
}

at::Tensor Autoencoder::decode(const at::Tensor& latents) {
  if (latents.dim() != 4 || latents.size(1) != latent_channels()) {
    throw UserError("{}: latents; expected [N, {}, h, w], found [{}]", class_name(),
                    latent_channels(), fmt::join(latents.sizes(), ", "));
  }
  return in_parts(latents, {.input = 1, .output = downscale_factor()},
                  [&](const at::Tensor& part) { return decode_whole(part); });
}

at::Tensor Autoencoder::in_parts(const at::Tensor& input, const TileScale& scale,
                                 const TileFunction& apply) {
  const auto apply_to = [&](const at::Tensor& part) {
    return tiling_ ? apply_tiled(part, *tiling_, scale, apply) : apply(part);
  };
  if (!slicing_ || input.size(0) <= 1) return apply_to(input);
  std::vector<at::Tensor> slices;
  for (const at::Tensor& image : input.split(1)) slices.push_back(apply_to(image));
  return at::cat(slices);
}

at::Tensor Autoencoder::scale(const at::Tensor& latents) const {
  return (latents - shift_factor()) * scaling_factor();
}

at::Tensor Autoencoder::unscale(const at::Tensor& latents) const {
  return latents / scaling_factor() + shift_factor();
}

void Autoencoder::enable_tiling(std::int64_t size) { tiling_ = tiling(size); }

void Autoencoder::to(at::Device device, at::ScalarType dtype, bool non_blocking) {
  check_dtype(class_name(), dtype);
  torch::nn::Module::to(device, dtype, non_blocking);
}

void Autoencoder::to(at::ScalarType dtype, bool non_blocking) {
  check_dtype(class_name(), dtype);
  torch::nn::Module::to(dtype, non_blocking);
}

std::shared_ptr<Autoencoder> load_autoencoder(const std::filesystem::path& folder,
                                              const Placement& placement) {
  const std::filesystem::path file = folder / "config.json";
  check_dtype(folder.string(), placement.dtype);
  const nlohmann::json config = read_json_file(file);
  const nlohmann::json name =
      config.is_object() ? config.value("_class_name", nlohmann::json(kArchitectures[0].class_name))
                         : nlohmann::json();
  std::vector<std::string_view> supported;
  for (const Architecture& architecture : kArchitectures) {
    if (name == architecture.class_name) return architecture.load(folder, placement);
    supported.push_back(architecture.class_name);
  }
  throw UserError("{}: _class_name: not a supported autoencoder; expected one of {}, found {}",
                  file.string(), fmt::join(supported, ", "), name.dump());
}

void save_autoencoder(const Autoencoder& model, const std::filesystem::path& folder,
                      at::ScalarType dtype) {
  write_file_atomically(folder / "config.json", model.config().dump(2) + "\n");
  save_weights(model, folder / "diffusion_pytorch_model.safetensors", dtype);
}

}  // namespace crescendo::vae
