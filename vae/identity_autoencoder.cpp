#include "vae/identity_autoencoder.h"

#include "core/error.h"
#include "core/fields.h"

namespace crescendo::vae {

nlohmann::ordered_json IdentityAutoencoder::config() const {
  return {{"_class_name", class_name()}, {"scaling_factor", scaling_factor_}};
}

DiagonalGaussian IdentityAutoencoder::posterior(const at::Tensor& encoded) const {
  return DiagonalGaussian::point(encoded);
}

Tiling IdentityAutoencoder::tiling(std::int64_t size) const {
  constexpr std::int64_t kSize = 512;
  return {size > 0 ? size : kSize, 1, Blend::kNeighbours};
}

std::shared_ptr<IdentityAutoencoder> load_identity_autoencoder(
    const std::filesystem::path& folder) {
  const std::filesystem::path file = folder / "config.json";
  double scaling_factor = 1;
  const std::vector<Field> list = {{"scaling_factor", &scaling_factor, "of the pixels", 1e-9}};
  read_model_config(read_json_file(file), file.string(), list, {});
  return std::make_shared<IdentityAutoencoder>(scaling_factor);
}

}  // namespace crescendo::vae
