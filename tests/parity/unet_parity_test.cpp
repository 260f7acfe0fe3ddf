#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/module_io.h"
#include "diffusion/loss.h"
#include "diffusion/noise_schedule.h"
#include "diffusion/scheduler_config.h"
#include "tests/parity/fixtures.h"
#include "tests/parity/training_parity.h"
#include "unet/unet_2d_condition.h"

namespace crescendo::unet {
namespace {

/// The tensor of that name, or an undefined one.
at::Tensor find(const TensorMap& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  return found == tensors.end() ? at::Tensor() : found->second.clone();
}

Conditioning conditioning_of(const TensorMap& tensors) {
  return {find(tensors, "encoder_hidden_states"), find(tensors, "encoder_attention_mask"),
          find(tensors, "class_labels")};
}

class UnetParityTest : public testing::TestWithParam<const char*> {};

TEST_P(UnetParityTest, OutputAndGradientsEqualTheReferences) {
  const auto folder = parity_fixtures() / "unet" / GetParam();
  UNet2DConditionModel model = load_unet(folder);
  const TensorMap io = load_tensors(folder / "io.safetensors");
  const at::Tensor sample = find(io, "sample").set_requires_grad(true);
  Conditioning conditioning = conditioning_of(io);
  at::Tensor& states = conditioning.encoder_hidden_states;
  if (states.defined()) states.set_requires_grad(true);
  const at::Tensor output = model(sample, io.at("timestep"), conditioning);
  expect_close(output, io.at("output"), "output");

  ((output * io.at("weight")).sum() * 0.1).backward();
  expect_close(sample.grad(), io.at("grad.sample"), "grad.sample");
  if (states.defined()) {
    expect_close(states.grad(), io.at("grad.encoder_hidden_states"), "grad.encoder_hidden_states");
  }
  expect_close_gradients(*model, io);
}

TEST_P(UnetParityTest, WeightsAfterTenStepsEqualTheReferences) {
  const auto folder = parity_fixtures() / "unet" / GetParam();
  UNet2DConditionModel model = load_unet(folder);
  const diffusion::NoiseSchedule schedule(diffusion::read_scheduler_config(
      read_json_file(folder / "scheduler_config.json"), "scheduler_config.json"));
  expect_equal_training(model.ptr(), folder, [&](const TensorMap& batch) {
    const at::Tensor& x0 = batch.at("x0");
    const at::Tensor& noise = batch.at("noise");
    const at::Tensor& timestep = batch.at("timestep");
    const at::Tensor sample =
        at::cat({schedule.add_noise(x0, noise, timestep), batch.at("more")}, 1);
    const at::Tensor prediction = model(sample, timestep, conditioning_of(batch));
    return training_loss_per_sample(schedule, prediction, x0, noise, timestep).mean();
  });
}

INSTANTIATE_TEST_SUITE_P(Models, UnetParityTest,
                         testing::Values("stable_diffusion_1", "stable_diffusion_2", "text_mask",
                                         "text_linear", "class_scale_shift", "class_token",
                                         "unconditional"));

}  // namespace
}  // namespace crescendo::unet
