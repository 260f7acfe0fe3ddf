#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "diffusion/options.h"
#include "pipelines/models/conditioner.h"
#include "text_encoder/text_encoder.h"
#include "unet/unet_2d_condition.h"
#include "vae/autoencoder.h"

namespace crescendo::pipelines {

/// The components of a latent diffusion model, as a diffusers folder holds them. A copy shares
/// them.
struct DiffusionModel {
  unet::UNet2DConditionModel unet{nullptr};
  std::shared_ptr<vae::Autoencoder> vae;
  std::shared_ptr<text_encoder::TextEncoder> text_encoder;  ///< null where text is no condition
  diffusion::DiffusionOptions diffusion;
  diffusion::SamplerOptions sampler;
  std::vector<std::string> class_names;    ///< empty: classes have numbers only
  std::optional<std::int64_t> null_class;  ///< the embedding that stands for no class

  /// Classes of the data, the one that stands for none not counted; 0 for no class model.
  std::int64_t num_classes() const;

  /// The class that `text` gives by number or name. Throws UserError naming `where`.
  std::int64_t class_number(const std::string& text, const std::string& where) const;

  Conditioner conditioner(at::Device device) const;
  void to(at::Device device);

  /// The latents' side for an image of `pixels`. Throws UserError naming `where` when the model
  /// cannot make that side.
  std::int64_t latent_side(std::int64_t pixels, const char* where) const;
};

/// `path/subfolder` where a pipeline's folder was given, else `path` itself, a component's folder.
std::filesystem::path component_folder(const std::filesystem::path& path, const char* subfolder);

/// Opens a frozen text encoder with its tokenizer, from a component's or a pipeline's folder.
std::unique_ptr<text_encoder::TextEncoder> open_text_encoder(const std::filesystem::path& path,
                                                             std::int64_t max_length,
                                                             const Placement& placement = {});

/// The number of a class given by number or by one of `names`. Throws UserError naming `where`.
std::int64_t parse_class(const std::string& text, const std::vector<std::string>& names,
                         const std::string& where);

/// Opens a model folder, or the model/ of a run folder; the U-Net and the text encoder as
/// `placement` says, the autoencoder always in float32. Throws UserError or DataError.
DiffusionModel load_model(const std::filesystem::path& path, const Placement& placement = {});

/// The type that "float32", "bfloat16" or "float16" names.
at::ScalarType dtype_named(const std::string& dtype);

/// The type that checkpoint.save_precision names.
at::ScalarType save_dtype(const std::string& save_precision);

/// Writes a diffusers folder, whole or not at all. With text it opens as StableDiffusionPipeline;
/// otherwise each component opens alone. `text_encoder_path` is where the frozen encoder came from;
/// its files are copied, and `tokenizer_config.json` told the length the model was trained with
/// where it says another. `non_ema`, unless null, is the U-Net as the optimizer left it, beside its
/// average in `model`: it becomes the variant of that name, as in Stable Diffusion's folders.
void save_model(DiffusionModel model, const std::filesystem::path& folder,
                const std::filesystem::path& text_encoder_path, at::ScalarType dtype = at::kFloat,
                const unet::UNet2DConditionModel& non_ema = nullptr);

}  // namespace crescendo::pipelines
