#include <string>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/tensor_io.h"
#include "diffusion/loss.h"
#include "diffusion/noise_schedule.h"
#include "diffusion/sampler.h"
#include "diffusion/scheduler_config.h"
#include "tests/parity/expect_close.h"
#include "tests/parity/fixtures.h"

namespace crescendo::diffusion {
namespace {

class DiffusionParityTest : public testing::TestWithParam<const char*> {
 protected:
  std::filesystem::path folder_ = parity_fixtures() / "diffusion" / GetParam();
  TensorMap io_ = load_tensors(folder_ / "io.safetensors");
  DiffusionOptions options_ = read_scheduler_config(
      read_json_file(folder_ / "scheduler_config.json"), "scheduler_config.json");
};

TEST_P(DiffusionParityTest, ForwardProcessAndTargets) {
  const NoiseSchedule schedule(options_);
  const at::Tensor& x0 = io_.at("x0");
  const at::Tensor& noise = io_.at("noise");
  const at::Tensor& timesteps = io_.at("timesteps");
  expect_close(schedule.add_noise(x0, noise, timesteps), io_.at("noisy"), "noisy");
  expect_close(schedule.velocity(x0, noise, timesteps), io_.at("velocity"), "velocity");
  expect_close(schedule.target(x0, noise, timesteps), io_.at("target"), "target");
}

TEST_P(DiffusionParityTest, MinSnrLossAndItsGradient) {
  options_.loss_weighting = "min_snr";
  const NoiseSchedule schedule(options_);
  const at::Tensor prediction = io_.at("prediction").clone().set_requires_grad(true);
  const at::Tensor loss = training_loss_per_sample(schedule, prediction, io_.at("x0"),
                                                   io_.at("noise"), io_.at("timesteps"));
  loss.mean().backward();
  expect_close(loss, io_.at("loss"), "loss");
  expect_close(prediction.grad(), io_.at("grad.prediction"), "grad.prediction");
}

TEST_P(DiffusionParityTest, SnrToFloat32) {
  const NoiseSchedule schedule(options_);
  const at::Tensor timesteps = io_.at("timesteps");
  const at::Tensor snr = io_.at("snr");
  for (std::int64_t i = 0; i < timesteps.size(0); ++i) {
    const auto expected = snr[i].item<double>();
    const auto timestep = timesteps[i].item<std::int64_t>();
    const double found = schedule.snr()[static_cast<std::size_t>(timestep)];
    // The reference subtracts a float32 product near 1 from 1.
    EXPECT_NEAR(found, expected, 2e-3 * expected) << timestep;
  }
}

TEST_P(DiffusionParityTest, TrajectoriesOfEverySampler) {
  const NoiseSchedule schedule(options_);
  const auto cases = read_json_file(folder_.parent_path() / "samplers.json");
  ASSERT_FALSE(cases.empty());
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SamplerOptions options;
    ASSERT_TRUE(assign_fields(fields(options), cases[i]).empty());
    const std::string prefix = "sampler" + std::to_string(i);
    const std::string what = cases[i].dump();
    std::vector<at::Tensor> visited;
    std::vector<std::int64_t> timesteps;
    const auto denoiser = [&](const at::Tensor& latents, std::int64_t timestep) {
      visited.push_back(latents);
      timesteps.push_back(timestep);
      return io_.at("gain")[timestep] * latents + io_.at("offset")[timestep];
    };
    const auto step_noise = [&](std::int64_t step) { return io_.at("step_noise")[step]; };
    visited.push_back(sample(schedule, options, io_.at("initial_noise"), denoiser, step_noise));
    EXPECT_TRUE(at::tensor(timesteps).equal(io_.at(prefix + ".timesteps"))) << what;
    expect_close(at::stack(visited), io_.at(prefix + ".latents"), what);
  }
}

INSTANTIATE_TEST_SUITE_P(Schedules, DiffusionParityTest,
                         testing::Values("linear-epsilon", "linear-v_prediction", "linear-sample",
                                         "scaled_linear-epsilon", "scaled_linear-v_prediction",
                                         "scaled_linear-sample", "squaredcos_cap_v2-epsilon",
                                         "squaredcos_cap_v2-v_prediction",
                                         "squaredcos_cap_v2-sample"));

}  // namespace
}  // namespace crescendo::diffusion
