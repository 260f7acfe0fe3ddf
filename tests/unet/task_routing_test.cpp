#include "unet/task_routing.h"

#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/core/error_text.h"
#include "unet/resnet_block.h"
#include "unet/unet_2d_condition.h"

namespace crescendo::unet {
namespace {

UNet2DConditionOptions routed_options() {
  UNet2DConditionOptions options;
  options.down_block_types = {"AttnDownBlock2D", "DownBlock2D"};
  options.mid_block_type = "UNetMidBlock2D";
  options.up_block_types = {"UpBlock2D", "AttnUpBlock2D"};
  options.block_out_channels = {8, 16};
  options.layers_per_block = {{1}};
  options.norm_num_groups = 4;
  options.attention_head_dim = {{4}};
  options.dtr_alpha = 4;
  return options;
}

TEST(TaskRoutingTest, OffsetsAreTheGoldenOnes) {
  const at::Tensor timesteps = at::tensor({500, 700, 900, 999}, at::kLong);
  const TaskRouting routing(routed_options(), timesteps);
  const auto expect = [&](std::int64_t channels, const std::vector<std::int64_t>& golden) {
    EXPECT_TRUE(at::equal(routing.first_channels(channels), at::tensor(golden, at::kLong)))
        << channels;
  };
  expect(384, {5, 19, 51, 77});
  expect(768, {10, 37, 101, 154});
  expect(1024, {13, 49, 135, 205});
}

TEST(TaskRoutingTest, KeepsARunOfChannelsOfEachSample) {
  UNet2DConditionOptions options = routed_options();
  options.dtr_alpha = 1;
  options.dtr_beta = 0.5;
  const TaskRouting routing(options, at::tensor({0.0, 499.5, 999.0}, at::kDouble));
  const at::Tensor seen = routing(at::ones({3, 4, 1, 1})).flatten(1);
  EXPECT_TRUE(at::equal(
      seen, at::tensor({1.F, 1.F, 0.F, 0.F, 0.F, 1.F, 1.F, 0.F, 0.F, 0.F, 1.F, 1.F}).view({3, 4})));
}

TEST(TaskRoutingTest, ATimeAtTheEndOfAFlowIsTheLastTimestep) {
  const TaskRouting routing(routed_options(), at::tensor({999.0F, 1000.0F}));
  const at::Tensor first = routing.first_channels(384);
  EXPECT_EQ(first[0].item<std::int64_t>(), first[1].item<std::int64_t>());
}

TEST(TaskRoutingTest, TheResidualStreamIsNotMasked) {
  at::manual_seed(3);
  ResnetBlock block(8, 8, ResnetOptions{.emb_channels = 6, .groups = 4});
  for (const auto& parameter : block->named_parameters()) {
    if (parameter.key().starts_with("conv2")) parameter.value().detach().zero_();
  }
  const at::Tensor x = at::randn({1, 8, 4, 4});
  const TaskRouting routing(routed_options(), at::tensor({999}, at::kLong));
  EXPECT_FALSE(at::equal(routing(x), x));
  EXPECT_TRUE(at::equal(block(x, at::randn({1, 6}), routing), x));
}

TEST(TaskRoutingTest, ABranchSeesItsChannelsAlone) {
  at::manual_seed(4);
  ResnetBlock block(8, 8, ResnetOptions{.emb_channels = 6, .groups = 4});
  const at::Tensor x = at::randn({1, 8, 4, 4});
  const at::Tensor emb = at::randn({1, 6});
  const TaskRouting routing(routed_options(), at::tensor({999}, at::kLong));  // channels 2 to 7
  at::Tensor other = x.clone();
  other.select(1, 0).add_(1);
  const auto branch = [&](const at::Tensor& input) { return block(input, emb, routing) - input; };
  EXPECT_TRUE(at::allclose(branch(other), branch(x), 1e-4, 1e-5));
  other.select(1, 7).mul_(2);
  EXPECT_FALSE(at::allclose(branch(other), branch(x), 1e-4, 1e-5));
}

/// Predictions of one model at two timesteps, of which the second shares no mask with the first.
TEST(TaskRoutingTest, AModelSaysThatItRoutesAndLoadsSo) {
  at::manual_seed(5);
  UNet2DConditionModel routed(routed_options());
  UNet2DConditionOptions plain_options = routed_options();
  plain_options.dtr_alpha.reset();
  UNet2DConditionModel plain(plain_options);
  for (const auto& parameter : routed->named_parameters()) {
    at::Tensor other = plain->named_parameters()[parameter.key()].detach();
    other.copy_(parameter.value().detach());
  }
  const at::Tensor sample = at::randn({1, 4, 8, 8});
  const at::Tensor timestep = at::tensor({10}, at::kLong);
  EXPECT_FALSE(at::allclose(routed(sample, timestep, Conditioning{}),
                            plain(sample, timestep, Conditioning{}), 1e-3, 1e-3));

  const nlohmann::json saved = unet_config(routed_options());
  EXPECT_EQ(saved["dtr_alpha"], 4.0);
  EXPECT_EQ(saved["dtr_beta"], 0.8);
  EXPECT_EQ(saved["dtr_timesteps"], 1000);
  EXPECT_EQ(read_unet_options(saved, "config.json").dtr_alpha, 4);
  EXPECT_FALSE(unet_config(plain_options).contains("dtr_alpha"));
  EXPECT_FALSE(unet_config(plain_options).contains("dtr_beta"));
}

TEST(TaskRoutingTest, GradientsAreTheSameWithCheckpointing) {
  at::manual_seed(6);
  UNet2DConditionModel model(routed_options());
  const at::Tensor sample = at::randn({2, 4, 8, 8});
  const at::Tensor timesteps = at::tensor({10, 900}, at::kLong);
  const auto gradient = [&] {
    model->zero_grad();
    model(sample, timesteps, Conditioning{}).square().mean().backward();
    return model->named_parameters()["mid_block.resnets.0.conv1.weight"].grad().clone();
  };
  const at::Tensor kept = gradient();
  model->enable_gradient_checkpointing();
  EXPECT_TRUE(at::equal(gradient(), kept));
}

TEST(TaskRoutingTest, NoChannelAtAllIsRefused) {
  EXPECT_EQ(error_text([] {
              read_unet_options({{"dtr_alpha", 4}, {"dtr_beta", 0.0}}, "unet");
            }).substr(0, 15),
            "unet: dtr_beta:");
}

}  // namespace
}  // namespace crescendo::unet
