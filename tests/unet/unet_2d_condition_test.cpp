#include "unet/unet_2d_condition.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/module_io.h"

namespace crescendo::unet {
namespace {

namespace fs = std::filesystem;

UNet2DConditionOptions text_options() {
  UNet2DConditionOptions options;
  options.block_out_channels = {4, 8};
  options.down_block_types = {"CrossAttnDownBlock2D", "DownBlock2D"};
  options.up_block_types = {"UpBlock2D", "CrossAttnUpBlock2D"};
  options.layers_per_block = {{1}};
  options.norm_num_groups = 2;
  options.attention_head_dim = {{2}};
  options.cross_attention_dim = {{6}};
  return options;
}

UNet2DConditionOptions class_options() {
  UNet2DConditionOptions options = text_options();
  options.down_block_types = {"DownBlock2D", "AttnDownBlock2D"};
  options.mid_block_type = "UNetMidBlock2D";
  options.up_block_types = {"AttnUpBlock2D", "UpBlock2D"};
  options.num_class_embeds = 3;
  return options;
}

/// A folder of this test's own, removed afterwards.
class UNet2DConditionTest : public testing::Test {
 protected:
  UNet2DConditionTest()
      : folder_(fs::path(testing::TempDir()) /
                testing::UnitTest::GetInstance()->current_test_info()->name()) {
    fs::remove_all(folder_);
  }
  ~UNet2DConditionTest() override { fs::remove_all(folder_); }

  fs::path folder_;
};

template <typename Function>
std::string error_of(const Function& function) {
  try {
    function();
  } catch (const UserError& error) {
    return error.what();
  }
  return "";
}

/// "NAME SHAPE" lines of the module's state, by name.
std::string listing(const torch::nn::Module& module) {
  std::string lines;
  for (const auto& [name, tensor] : state_of(module)) {
    lines += fmt::format("{} [{}]\n", name, fmt::join(tensor.sizes(), ", "));
  }
  return lines;
}

TEST_F(UNet2DConditionTest, NamesAndShapesAreTheReferences) {
  const fs::path golden = fs::path(CRESCENDO_SOURCE_DIR) / "tests/unet/golden";
  for (const std::string name :
       {"stable_diffusion_1", "stable_diffusion_2", "text_mask", "text_linear", "class_scale_shift",
        "class_token", "unconditional"}) {
    const fs::path config = golden / (name + ".json");
    const UNet2DConditionModel model(read_unet_options(read_json_file(config), config.string()));
    EXPECT_EQ(listing(*model), read_file(golden / (name + ".txt"))) << name;
  }
}

TEST_F(UNet2DConditionTest, SamplesOfABatchAreIndependent) {
  UNet2DConditionModel model(text_options());
  const at::Tensor sample = at::randn({2, 4, 4, 6});
  const at::Tensor timesteps = at::tensor({5, 900});
  const at::Tensor states = at::randn({2, 3, 6});
  const at::Tensor both = model->forward(sample, timesteps, {states, {}, {}});
  EXPECT_EQ(both.sizes(), sample.sizes());
  const at::Tensor second =
      model->forward(sample.slice(0, 1), timesteps.slice(0, 1), {states.slice(0, 1), {}, {}});
  EXPECT_TRUE(at::allclose(both.slice(0, 1), second, 1e-4, 1e-5));
}

TEST_F(UNet2DConditionTest, MaskedTokensDoNotMatter) {
  UNet2DConditionModel model(text_options());
  const at::Tensor sample = at::randn({1, 4, 4, 4});
  const at::Tensor timesteps = at::tensor({10});
  const at::Tensor mask = at::tensor({1, 0, 1}).to(at::kBool).unsqueeze(0);
  const at::Tensor states = at::randn({1, 3, 6});
  at::Tensor changed = states.clone();
  changed.select(1, 1).fill_(7.0);
  const at::Tensor expected = model->forward(sample, timesteps, {states, mask, {}});
  EXPECT_TRUE(at::equal(model->forward(sample, timesteps, {changed, mask, {}}), expected));
  EXPECT_FALSE(at::allclose(model->forward(sample, timesteps, {changed, {}, {}}), expected));
}

/// In the reference, too, which adds -10000 to all scores; in float64, since in float32 that leaves
/// three decimals of them.
TEST_F(UNet2DConditionTest, OfTokensThatAreAllMaskedEachMatters) {
  UNet2DConditionModel model(text_options());
  model->to(at::kDouble);
  const at::Tensor sample = at::randn({1, 4, 4, 4}, at::kDouble);
  const at::Tensor timesteps = at::tensor({10});
  const at::Tensor states = at::randn({1, 3, 6}, at::kDouble);
  const at::Tensor nothing = at::zeros({1, 3}, at::kBool);
  EXPECT_TRUE(at::allclose(model->forward(sample, timesteps, {states, nothing, {}}),
                           model->forward(sample, timesteps, {states, {}, {}}), 1e-8, 1e-8));
}

TEST_F(UNet2DConditionTest, EveryInputMatters) {
  UNet2DConditionModel model(class_options());
  const at::Tensor sample = at::randn({1, 4, 4, 4});
  const auto run = [&](std::int64_t timestep, std::int64_t label) {
    return model->forward(sample, at::full({1}, timestep), {{}, {}, at::full({1}, label)});
  };
  EXPECT_TRUE(at::equal(run(5, 1), run(5, 1)));
  EXPECT_FALSE(at::allclose(run(5, 1), run(6, 1)));
  EXPECT_FALSE(at::allclose(run(5, 1), run(5, 2)));
}

TEST_F(UNet2DConditionTest, EveryParameterHasAGradient) {
  UNet2DConditionModel model(class_options());
  model->forward(at::randn({1, 4, 4, 4}), at::tensor({1}), {{}, {}, at::tensor({2})})
      .sum()
      .backward();
  for (const auto& parameter : model->named_parameters()) {
    EXPECT_TRUE(parameter.value().grad().defined()) << parameter.key();
  }
}

TEST_F(UNet2DConditionTest, WrongShapesAreTheUsersError) {
  UNet2DConditionModel model(text_options());
  const at::Tensor sample = at::zeros({2, 4, 4, 4});
  const at::Tensor timesteps = at::tensor({1, 2});
  const at::Tensor states = at::zeros({2, 3, 6});
  EXPECT_EQ(error_of([&] {
              model->forward(at::zeros({2, 4, 4, 5}), timesteps, {states, {}, {}});
            }),
            "UNet2DConditionModel: sample; expected [N, 4, H, W] with H and W multiples of 2, "
            "found [2, 4, 4, 5]");
  EXPECT_EQ(error_of([&] {
              model->forward(sample, at::tensor({1}), {states, {}, {}});
            }),
            "UNet2DConditionModel: timesteps; expected [2], one per sample, found [1]");
  EXPECT_EQ(error_of([&] {
              model->forward(sample, timesteps, {at::zeros({2, 3, 7}), {}, {}});
            }),
            "UNet2DConditionModel: encoder_hidden_states; expected [2, L, 6], found [2, 3, 7]");
  EXPECT_EQ(error_of([&] {
              model->forward(sample, timesteps, {states, at::ones({2, 4}), {}});
            }),
            "UNet2DConditionModel: encoder_attention_mask; expected [2, 3], found [2, 4]");
}

TEST_F(UNet2DConditionTest, ConditioningMustBeWhatTheOptionsAskFor) {
  const at::Tensor sample = at::zeros({1, 4, 4, 4});
  const at::Tensor timesteps = at::tensor({1});
  const at::Tensor states = at::zeros({1, 3, 6});
  const at::Tensor labels = at::tensor({0});
  UNet2DConditionModel text(text_options());
  EXPECT_EQ(error_of([&] { text->forward(sample, timesteps, {}); }),
            "UNet2DConditionModel: encoder_hidden_states; expected [1, L, 6] for cross-attention, "
            "found none");
  EXPECT_EQ(error_of([&] {
              text->forward(sample, timesteps, {states, {}, labels});
            }),
            "UNet2DConditionModel: class_labels; expected none, because num_class_embeds is null");
  UNet2DConditionModel classes(class_options());
  EXPECT_EQ(error_of([&] { classes->forward(sample, timesteps, {}); }),
            "UNet2DConditionModel: class_labels; expected one per sample for num_class_embeds, "
            "found none");
  EXPECT_EQ(error_of([&] {
              classes->forward(sample, timesteps, {states, {}, labels});
            }).find("UNet2DConditionModel: encoder_hidden_states; expected none"),
            0U);
}

TEST_F(UNet2DConditionTest, RoundTripIsExact) {
  for (const UNet2DConditionOptions& options : {text_options(), class_options()}) {
    UNet2DConditionModel model(options);
    save_unet(model, folder_);
    const UNet2DConditionModel loaded = load_unet(folder_);
    UNet2DConditionOptions before = model->options();
    UNet2DConditionOptions after = loaded->options();
    EXPECT_EQ(fields_to_json(fields(after)), fields_to_json(fields(before)));
    const TensorMap expected = state_of(*model);
    for (const auto& [name, tensor] : state_of(*loaded)) {
      EXPECT_TRUE(at::equal(tensor, expected.at(name))) << name;
    }
  }
}

TEST_F(UNet2DConditionTest, WeightsOfAnotherModelAreNamed) {
  UNet2DConditionModel model(text_options());
  save_unet(model, folder_);
  nlohmann::json config = read_json_file(folder_ / "config.json");
  config["use_linear_projection"] = true;
  config["num_class_embeds"] = 3;
  write_file_atomically(folder_ / "config.json", config.dump());
  const std::string error = error_of([&] { load_unet(folder_); });
  EXPECT_NE(error.find("1 missing:\n    class_embedding.weight"), std::string::npos) << error;
  EXPECT_NE(error.find("down_blocks.0.attentions.0.proj_in.weight: expected [4, 4], found "
                       "[4, 4, 1, 1]"),
            std::string::npos)
      << error;
}

}  // namespace
}  // namespace crescendo::unet
