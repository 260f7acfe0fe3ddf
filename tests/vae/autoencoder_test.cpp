#include "vae/autoencoder.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/atomic_file.h"
#include "core/fields.h"
#include "core/module_io.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "vae/autoencoder_kl.h"
#include "vae/autoencoder_tiny.h"
#include "vae/identity_autoencoder.h"

namespace crescendo::vae {
namespace {

namespace fs = std::filesystem;

fs::path golden() { return fs::path(CRESCENDO_SOURCE_DIR) / "tests/vae/golden"; }

/// A random model of golden/NAME.json.
std::shared_ptr<Autoencoder> make(const std::string& name) {
  at::manual_seed(0);
  const fs::path file = golden() / (name + ".json");
  const nlohmann::json config = read_json_file(file);
  if (config["_class_name"] == "AutoencoderTiny") {
    return AutoencoderTiny(read_autoencoder_tiny_options(config, file.string())).ptr();
  }
  return AutoencoderKL(read_autoencoder_kl_options(config, file.string())).ptr();
}

/// "NAME SHAPE" lines of the module's state, by name.
std::string listing(const torch::nn::Module& module) {
  std::string lines;
  for (const auto& [name, tensor] : state_of(module)) {
    lines += fmt::format("{} [{}]\n", name, fmt::join(tensor.sizes(), ", "));
  }
  return lines;
}

/// All of these hold for every class.
class AutoencoderTest : public testing::TestWithParam<const char*> {
 protected:
  const std::shared_ptr<Autoencoder> model_ = make(GetParam());
  const c10::NoGradGuard no_grad_;
  TemporaryFolder folder_;
};

TEST_P(AutoencoderTest, NamesAndShapesAreTheReferences) {
  EXPECT_EQ(listing(*model_), read_file(golden() / (std::string(GetParam()) + ".txt")));
}

TEST_P(AutoencoderTest, LoadsAsTheClassThatWasSaved) {
  model_->set_scaling(0.73);
  save_autoencoder(*model_, folder_ / "vae");
  const std::shared_ptr<Autoencoder> loaded = load_autoencoder(folder_ / "vae");
  EXPECT_STREQ(loaded->class_name(), model_->class_name());
  EXPECT_EQ(loaded->config(), model_->config());
  EXPECT_EQ(loaded->scaling_factor(), 0.73);
  const TensorMap expected = state_of(*model_);
  for (const auto& [name, tensor] : state_of(*loaded)) {
    EXPECT_TRUE(at::equal(tensor, expected.at(name))) << name;
  }
}

TEST_P(AutoencoderTest, ShapesFollowTheDownscaleFactor) {
  const std::int64_t channels = model_->latent_channels();
  const DiagonalGaussian posterior = model_->encode(at::zeros({2, 3, 8, 12}));
  EXPECT_EQ(model_->downscale_factor(), 2);
  EXPECT_EQ(posterior.mean.sizes(), (std::vector<std::int64_t>{2, channels, 4, 6}));
  EXPECT_EQ(posterior.logvar.sizes(), posterior.mean.sizes());
  EXPECT_EQ(model_->decode(posterior.mean).sizes(), (std::vector<std::int64_t>{2, 3, 8, 12}));
}

TEST_P(AutoencoderTest, OtherShapesAreTheUsersError) {
  EXPECT_EQ(error_text([&] {
              model_->encode(at::zeros({1, 3, 8, 9}));
            }),
            std::string(model_->class_name()) +
                ": image; expected [N, 3, H, W] with H and W multiples of 2, found [1, 3, 8, 9]");
  EXPECT_EQ(error_text([&] {
              model_->decode(at::zeros({1, 9, 2, 2}));
            }),
            fmt::format("{}: latents; expected [N, {}, h, w], found [1, 9, 2, 2]",
                        model_->class_name(), model_->latent_channels()));
}

TEST_P(AutoencoderTest, ScalesAndBack) {
  model_->set_scaling(0.7);
  const at::Tensor latents = at::tensor({model_->shift_factor(), model_->shift_factor() + 1});
  EXPECT_TRUE(at::allclose(model_->scale(latents), at::tensor({0.0, 0.7})));
  EXPECT_TRUE(at::allclose(model_->unscale(model_->scale(latents)), latents));
}

TEST_P(AutoencoderTest, SlicesMakeTheSame) {
  const at::Tensor image = at::randn({3, 3, 8, 12});
  const at::Tensor mean = model_->encode(image).mean;
  const at::Tensor decoded = model_->decode(mean);
  model_->enable_slicing();
  EXPECT_TRUE(at::allclose(model_->encode(image).mean, mean, 1e-5, 1e-5));
  EXPECT_TRUE(at::allclose(model_->decode(mean), decoded, 1e-5, 1e-5));
}

TEST_P(AutoencoderTest, TilesCoverImagesOfAnySize) {
  model_->enable_tiling(24);
  for (const auto& [height, width] : {std::pair{24, 24}, {26, 94}, {70, 52}}) {
    const at::Tensor mean = model_->encode(at::randn({2, 3, height, width})).mean;
    EXPECT_EQ(mean.sizes().slice(2), (std::vector<std::int64_t>{height / 2, width / 2}));
    const at::Tensor decoded = model_->decode(mean);
    EXPECT_EQ(decoded.sizes(), (std::vector<std::int64_t>{2, 3, height, width}));
    EXPECT_TRUE(at::isfinite(decoded).all().item<bool>());
  }
}

TEST_P(AutoencoderTest, RefusesFloat16) {
  const std::string expected =
      std::string(model_->class_name()) +
      ": an autoencoder is never run in float16, which its activations overflow; expected "
      "float32, found float16";
  EXPECT_EQ(error_text([&] { model_->to(at::kHalf); }), expected);
  EXPECT_EQ(error_text([&] { model_->to(at::kCPU, at::kHalf); }), expected);
  EXPECT_EQ(error_text([&] {
              model_->to(at::kCPU);
              model_->to(at::kFloat);
            }),
            "");
}

TEST_P(AutoencoderTest, Float16WeightsAreLoadedAsFloat32) {
  save_autoencoder(*model_, folder_ / "vae", at::kHalf);
  const TensorMap weights = state_of(*model_);
  for (const auto& [name, tensor] : state_of(*load_autoencoder(folder_ / "vae"))) {
    EXPECT_EQ(tensor.scalar_type(), at::kFloat) << name;
    EXPECT_TRUE(at::equal(tensor, weights.at(name).to(at::kHalf).to(at::kFloat))) << name;
  }
}

INSTANTIATE_TEST_SUITE_P(Models, AutoencoderTest,
                         testing::Values("quant_attention", "plain", "tiny"));

TEST(LoadAutoencoderTest, ChoosesByTheClassName) {
  const TemporaryFolder folder;
  save_autoencoder(*make("plain"), folder.path());
  const fs::path file = folder / "config.json";
  nlohmann::json config = read_json_file(file);
  config.erase("_class_name");
  write_file_atomically(file, config.dump());
  EXPECT_STREQ(load_autoencoder(folder.path())->class_name(), "AutoencoderKL");
  config["_class_name"] = "AutoencoderDC";
  write_file_atomically(file, config.dump());
  EXPECT_EQ(error_text([&] { load_autoencoder(folder.path()); }),
            file.string() +
                ": _class_name: not a supported autoencoder; expected one of AutoencoderKL, "
                "AutoencoderTiny, IdentityAutoencoder, found \"AutoencoderDC\"");
}

TEST(AutoencoderTinyTest, PosteriorIsAPoint) {
  const std::shared_ptr<Autoencoder> model = make("tiny");
  const DiagonalGaussian posterior = model->encode(at::rand({1, 3, 8, 8}) * 2 - 1);
  EXPECT_TRUE(at::equal(posterior.sample(at::randn_like(posterior.mean)), posterior.mean));
}

TEST(IdentityAutoencoderTest, ItsLatentsAreThePixels) {
  const TemporaryFolder folder;
  IdentityAutoencoder model;
  model.set_scaling(2);
  save_autoencoder(model, folder.path());
  const std::shared_ptr<Autoencoder> loaded = load_autoencoder(folder.path());
  EXPECT_STREQ(loaded->class_name(), "IdentityAutoencoder");
  EXPECT_EQ(loaded->scaling_factor(), 2);
  EXPECT_EQ(loaded->downscale_factor(), 1);
  const at::Tensor image = at::rand({2, 3, 5, 7}) * 2 - 1;
  const at::Tensor latents = loaded->encode(image).sample(at::randn_like(image));
  EXPECT_TRUE(at::equal(latents, image));
  EXPECT_TRUE(at::equal(loaded->scale(latents), 2 * image));
  EXPECT_TRUE(at::equal(loaded->decode(loaded->unscale(loaded->scale(latents))), image));
  loaded->enable_tiling(4);
  EXPECT_TRUE(at::equal(loaded->decode(image), image));
}

TEST(IdentityAutoencoderTest, RefusesKeysOfAnotherClass) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "config.json",
                        R"({"_class_name":"IdentityAutoencoder","latent_channels":4})");
  EXPECT_NE(error_text([&] { load_autoencoder(folder.path()); }).find("latent_channels"),
            std::string::npos);
}

}  // namespace
}  // namespace crescendo::vae
