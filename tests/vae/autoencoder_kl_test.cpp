#include "vae/autoencoder_kl.h"

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

TEST_F(AutoencoderKLTest, LastDecoderWeightIsTheOutputs) {
  AutoencoderKL model(small_options());
  EXPECT_EQ(model->last_decoder_weight().sizes(), (std::vector<std::int64_t>{3, 4, 3, 3}));
}

TEST_F(AutoencoderKLTest, ContradictoryOptionsThrow) {
  AutoencoderKLOptions options = small_options();
  options.up_block_types.pop_back();
  EXPECT_THROW(AutoencoderKL{options}, UserError);
}

TEST_F(AutoencoderKLTest, OldNamesOfAttentionAreRead) {
  AutoencoderKL model(small_options());
  save_autoencoder(*model, folder_);
  const fs::path file = folder_ / "diffusion_pytorch_model.safetensors";
  TensorMap state = load_tensors(file);
  for (const char* half : {"encoder", "decoder"}) {
    const std::string attention = std::string(half) + ".mid_block.attentions.0.";
    for (const char* kind : {".weight", ".bias"}) {
      const auto rename = [&](const std::string& name, const std::string& old) {
        auto node = state.extract(attention + name + kind);
        ASSERT_FALSE(node.empty());
        node.key() = attention + old + kind;
        state.insert(std::move(node));
      };
      rename("to_q", "query");
      rename("to_k", "key");
      rename("to_v", "value");
      rename("to_out.0", "proj_attn");
    }
  }
  save_tensors(file, state);
  const TensorMap expected = state_of(*model);
  for (const auto& [name, tensor] : state_of(*load_autoencoder_kl(folder_))) {
    EXPECT_TRUE(at::equal(tensor, expected.at(name))) << name;
  }
}

TEST_F(AutoencoderKLTest, NamesWhatIsWrongWithAFolder) {
  AutoencoderKL model(small_options());
  save_autoencoder(*model, folder_);
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
