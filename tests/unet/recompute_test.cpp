#include "unet/recompute.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/autocast.h"
#include "core/module_io.h"
#include "unet/unet_2d_condition.h"

namespace crescendo::unet {
namespace {

UNet2DConditionOptions text_options() {
  UNet2DConditionOptions options;
  options.block_out_channels = {4, 8};
  options.down_block_types = {"CrossAttnDownBlock2D", "CrossAttnDownBlock2D"};
  options.up_block_types = {"CrossAttnUpBlock2D", "CrossAttnUpBlock2D"};
  options.layers_per_block = {{2}};
  options.norm_num_groups = 2;
  options.attention_head_dim = {{2}};
  options.cross_attention_dim = {{6}};
  options.dropout = 0.2;
  return options;
}

UNet2DConditionOptions class_options() {
  UNet2DConditionOptions options = text_options();
  options.down_block_types = {"DownBlock2D", "AttnDownBlock2D"};
  options.mid_block_type = std::nullopt;
  options.up_block_types = {"AttnUpBlock2D", "UpBlock2D"};
  options.num_class_embeds = 3;
  options.resnet_time_scale_shift = "scale_shift";
  return options;
}

/// Output and gradients of two passes, which add up, under the names of the parameters.
TensorMap gradients(const UNet2DConditionOptions& options, bool recompute,
                    const std::string& frozen = "", const AutocastState& autocast = {}) {
  at::manual_seed(1);
  UNet2DConditionModel model(options);
  if (recompute) model->enable_gradient_checkpointing();
  for (const auto& item : model->named_parameters()) {
    if (!frozen.empty() && item.key().starts_with(frozen)) item.value().set_requires_grad(false);
  }
  TensorMap found;
  const at::Tensor states = at::randn({2, 3, 6}).set_requires_grad(true);
  for (int pass = 0; pass < 2; ++pass) {
    const at::Tensor sample = at::randn({2, 4, 8, 4});
    const Conditioning conditioning = options.num_class_embeds
                                          ? Conditioning{{}, {}, at::tensor({2, 0})}
                                          : Conditioning{states, at::ones({2, 3}, at::kBool), {}};
    at::Tensor output;
    {
      const AutocastGuard guard(autocast);
      output = model->forward(sample, at::tensor({5, 900}), conditioning);
    }
    output.to(at::kFloat).square().mean().backward();
    found["output"] = output.detach();
  }
  found["next random number"] = at::rand({1});
  if (states.grad().defined()) found["encoder_hidden_states"] = states.grad();
  for (const auto& item : model->named_parameters()) {
    if (item.value().grad().defined()) found[item.key()] = item.value().grad();
  }
  return found;
}

void expect_same(const TensorMap& left, const TensorMap& right) {
  ASSERT_EQ(left.size(), right.size());
  for (const auto& [name, tensor] : left) {
    ASSERT_TRUE(right.contains(name)) << name;
    EXPECT_TRUE(at::equal(tensor, right.at(name))) << name;
  }
}

TEST(RecomputeTest, GivesTheSameBitsWithDropout) {
  for (const UNet2DConditionOptions& options : {text_options(), class_options()}) {
    const TensorMap plain = gradients(options, false);
    EXPECT_EQ(plain.size(),
              state_of(*UNet2DConditionModel(options)).size() + (options.num_class_embeds ? 2 : 3));
    expect_same(gradients(options, true), plain);
  }
}

TEST(RecomputeTest, GivesTheSameBitsUnderAutocast) {
  const AutocastState bf16{.enabled = true, .dtype = at::kBFloat16};
  const TensorMap plain = gradients(text_options(), false, "", bf16);
  EXPECT_EQ(plain.at("output").scalar_type(), at::kBFloat16);
  EXPECT_EQ(plain.at("conv_in.weight").scalar_type(), at::kFloat);
  EXPECT_FALSE(
      at::equal(plain.at("conv_in.weight"), gradients(text_options(), false).at("conv_in.weight")));
  expect_same(gradients(text_options(), true, "", bf16), plain);
}

TEST(RecomputeTest, ReachesWeightsBehindFrozenOnes) {
  for (const char* frozen : {"conv_in", "down_blocks"}) {
    const TensorMap plain = gradients(text_options(), false, frozen);
    EXPECT_TRUE(plain.contains("up_blocks.1.resnets.0.conv1.weight"));
    expect_same(gradients(text_options(), true, frozen), plain);
  }
}

TEST(RecomputeTest, KeepsNothingFromInside) {
  std::int64_t runs = 0;
  at::Tensor inside;
  const Layer layer = [&](const std::vector<at::Tensor>& inputs) {
    ++runs;
    const at::Tensor squared = inputs[0].square();
    inside = squared;
    return squared.sin();
  };
  const at::Tensor x = at::tensor({0.5F, -1.0F}).set_requires_grad(true);
  for (const bool recompute : {false, true}) {
    runs = 0;
    at::Tensor output = run_layer(recompute, layer, {x});
    EXPECT_EQ(inside.use_count() > 1, !recompute) << "only the plain run's graph holds it";
    x.mutable_grad().reset();
    output.sum().backward();
    EXPECT_EQ(runs, recompute ? 2 : 1);
    EXPECT_TRUE(at::allclose(x.grad(), 2 * x.detach() * x.detach().square().cos()));
  }
}

TEST(RecomputeTest, RunsOnceWithoutGradients) {
  const c10::NoGradGuard no_grad;
  std::int64_t runs = 0;
  const Layer layer = [&](const std::vector<at::Tensor>& inputs) {
    ++runs;
    return inputs[0] + inputs[1];
  };
  EXPECT_TRUE(at::equal(run_layer(true, layer, {at::ones({2}), at::ones({2})}), at::full({2}, 2)));
  EXPECT_EQ(runs, 1);
}

}  // namespace
}  // namespace crescendo::unet
