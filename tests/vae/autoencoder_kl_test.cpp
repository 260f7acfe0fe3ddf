#include "vae/autoencoder_kl.h"

#include <fstream>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/module_io.h"

namespace crescendo::vae {
namespace {

namespace fs = std::filesystem;

AutoencoderKLOptions small_options() {
  AutoencoderKLOptions options;
  options.block_out_channels = {4, 8, 8};
  options.down_block_types.assign(3, "DownEncoderBlock2D");
  options.up_block_types.assign(3, "UpDecoderBlock2D");
  options.norm_num_groups = 2;
  return options;
}

/// A folder of this test's own, removed afterwards.
class AutoencoderKLTest : public testing::Test {
 protected:
  AutoencoderKLTest()
      : folder_(fs::path(testing::TempDir()) /
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(folder_);
  }
  ~AutoencoderKLTest() override { fs::remove_all(folder_); }

  std::string load_error() const {
    try {
      load_autoencoder_kl(folder_);
    } catch (const UserError& error) {
      return error.what();
    }
    return "";
  }

  fs::path folder_;
};

/// "NAME SHAPE" lines of the module's state, by name.
std::string listing(const torch::nn::Module& module) {
  std::string lines;
  for (const auto& [name, tensor] : state_of(module)) {
    lines += fmt::format("{} [{}]\n", name, fmt::join(tensor.sizes(), ", "));
  }
  return lines;
}

TEST_F(AutoencoderKLTest, NamesAndShapesAreTheReferences) {
  const fs::path golden = fs::path(CRESCENDO_SOURCE_DIR) / "tests/vae/golden";
  for (const std::string name : {"quant_attention", "plain"}) {
    const fs::path config = golden / (name + ".json");
    const AutoencoderKL model(read_autoencoder_kl_options(read_json_file(config), config.string()));
    EXPECT_EQ(listing(*model), read_file(golden / (name + ".txt"))) << name;
  }
}

TEST_F(AutoencoderKLTest, ShapesFollowTheDownscaleFactor) {
  AutoencoderKL model(small_options());
  EXPECT_EQ(model->downscale_factor(), 4);
  const DiagonalGaussian posterior = model->encode(at::zeros({2, 3, 8, 12}));
  EXPECT_EQ(posterior.mean.sizes(), (std::vector<std::int64_t>{2, 4, 2, 3}));
  EXPECT_EQ(posterior.logvar.sizes(), posterior.mean.sizes());
  EXPECT_EQ(model->decode(posterior.mean).sizes(), (std::vector<std::int64_t>{2, 3, 8, 12}));
  EXPECT_EQ(model->last_decoder_weight().sizes(), (std::vector<std::int64_t>{3, 4, 3, 3}));
}

TEST_F(AutoencoderKLTest, ImageOfAnotherShapeIsTheUsersError) {
  AutoencoderKL model(small_options());
  try {
    model->encode(at::zeros({1, 3, 8, 10}));
    FAIL() << "expected an error";
  } catch (const UserError& error) {
    EXPECT_STREQ(error.what(),
                 "AutoencoderKL: image; expected [N, 3, H, W] with H and W multiples of 4, found "
                 "[1, 3, 8, 10]");
  }
  EXPECT_THROW(model->encode(at::zeros({3, 8, 8})), UserError);
  EXPECT_THROW(model->decode(at::zeros({1, 3, 2, 2})), UserError);
}

TEST_F(AutoencoderKLTest, RoundTripIsExact) {
  AutoencoderKL model(small_options());
  model->set_scaling(0.73);
  save_autoencoder_kl(model, folder_);
  const AutoencoderKL loaded = load_autoencoder_kl(folder_);
  EXPECT_EQ(loaded->options().scaling_factor, 0.73);
  EXPECT_EQ(loaded->options().block_out_channels, model->options().block_out_channels);
  const TensorMap expected = state_of(*model);
  for (const auto& [name, tensor] : state_of(*loaded)) {
    EXPECT_TRUE(at::equal(tensor, expected.at(name))) << name;
  }
}

TEST_F(AutoencoderKLTest, SavesHalfPrecisionAndLoadsItAsFloat) {
  AutoencoderKL model(small_options());
  save_autoencoder_kl(model, folder_, at::kHalf);
  for (const auto& [name, tensor] : load_tensors(weights_file_in(folder_))) {
    ASSERT_EQ(tensor.scalar_type(), at::kHalf) << name;
  }
  const at::Tensor weight = load_autoencoder_kl(folder_)->last_decoder_weight();
  EXPECT_EQ(weight.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(weight, model->last_decoder_weight().to(at::kHalf).to(at::kFloat)));
}

TEST_F(AutoencoderKLTest, ContradictoryOptionsThrow) {
  AutoencoderKLOptions options = small_options();
  options.up_block_types.pop_back();
  EXPECT_THROW(AutoencoderKL{options}, UserError);
}

TEST_F(AutoencoderKLTest, NamesWhatIsWrongWithAFolder) {
  AutoencoderKL model(small_options());
  save_autoencoder_kl(model, folder_);
  nlohmann::json config = read_json_file(folder_ / "config.json");

  config["use_quant_conv"] = false;
  write_file_atomically(folder_ / "config.json", config.dump());
  EXPECT_NE(load_error().find("2 that the model does not have:\n    quant_conv.bias"),
            std::string::npos)
      << load_error();

  config["use_quant_conv"] = true;
  config["latent_channels"] = 5;
  write_file_atomically(folder_ / "config.json", config.dump());
  EXPECT_NE(load_error().find("decoder.conv_in.weight: expected [8, 5, 3, 3], found [8, 4, 3, 3]"),
            std::string::npos)
      << load_error();

  config["latent_chanels"] = 5;
  write_file_atomically(folder_ / "config.json", config.dump());
  EXPECT_NE(load_error().find("config.json: latent_chanels: unknown key"), std::string::npos);

  fs::remove(folder_ / "diffusion_pytorch_model.safetensors");
  write_file_atomically(folder_ / "config.json", "{}");
  EXPECT_NE(load_error().find("no weights"), std::string::npos);
}

}  // namespace
}  // namespace crescendo::vae
