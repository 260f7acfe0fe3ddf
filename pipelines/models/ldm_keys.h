#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace crescendo::pipelines {

// The single file of the latent-diffusion code (CompVis, Stability AI) holds U-Net, autoencoder and
// text encoder of Stable Diffusion 1.x or 2.x under names of its own. Which name of a diffusers
// folder is which key of the file follows from the architecture: ldm_unet_keys.h, ldm_vae_keys.h,
// ldm_text_keys.h.

using Shape = std::vector<std::int64_t>;

/// A tensor of the single file and where a diffusers folder has it.
struct LdmTensor {
  std::string key;
  Shape key_shape;
  std::vector<std::string> names;  ///< in the component; several where the file joins them by rows
  Shape name_shape;                ///< of each
  bool transposed = false;
};

/// A list of such tensors in the making. The arguments: key in the file under `prefix`, name in the
/// component, both without ".weight" or ".bias" except in tensor().
class LdmKeys {
 public:
  explicit LdmKeys(std::string prefix) : prefix_(std::move(prefix)) {}

  void tensor(const std::string& key, const std::string& name, const Shape& shape);

  /// Weight and bias of a layer whose weight is [out, ...].
  void layer(const std::string& key, const std::string& name, const Shape& weight);
  void norm(const std::string& key, const std::string& name, std::int64_t channels);

  /// [out, in, 1, 1] in the file, [out, in] in the folder; with bias.
  void pointwise(const std::string& key, const std::string& name, std::int64_t channels);

  void add(LdmTensor tensor);
  std::vector<LdmTensor> take() { return std::move(tensors_); }

 private:
  std::string prefix_;
  std::vector<LdmTensor> tensors_;
};

/// Keys of published files that belong to no component's weights: noise schedules, averages,
/// losses, buffers that are made anew.
bool ldm_passes_over(std::string_view key);

}  // namespace crescendo::pipelines
