#include <algorithm>
#include <cmath>
#include <string>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/tensor_io.h"
#include "diffusion/loss.h"
#include "diffusion/noise_schedule.h"
#include "diffusion/sampler.h"
#include "diffusion/scheduler_config.h"
#include "diffusion/sigma_schedule.h"
#include "tests/parity/expect_close.h"
#include "tests/parity/fixtures.h"

namespace crescendo::diffusion {
namespace {

/// The reference finds fractions by log sigma in float32, and cuts those of DPM-Solver to whole
/// ones.
double timestep_tolerance(const SamplerOptions& options) {
  if (options.scheduler == "discrete") return 1e-4;
  return options.sampler.starts_with("dpm++") ? 1 : 0.05;
}

/// In float32, x0 cannot be told from x0 + sigma noise any better; the cosine schedule has a sigma
/// of 20,000.
double rounding_of_x0(const NoiseSchedule& schedule, const SamplerOptions& options) {
  if (!options.uses_sigmas()) return 0;
  return 4 * noise_levels(schedule, options).front().sigma * std::ldexp(1, -24);
}

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
  std::size_t checked = 0;
  for (std::size_t i = 0; i < cases.size(); ++i) {
    SamplerOptions options;
    ASSERT_TRUE(assign_fields(fields(options), cases[i]).empty());
    const std::string prefix = "sampler" + std::to_string(i);
    if (!io_.contains(prefix + ".latents")) continue;  // see has_trajectory
    ++checked;
    const std::string what = cases[i].dump();
    std::vector<at::Tensor> visited;
    std::vector<double> timesteps;
    const at::Tensor expected_timesteps = io_.at(prefix + ".timesteps");
    const auto between = [&](const char* table, double timestep) {
      const auto below = static_cast<std::int64_t>(timestep);
      const double share = timestep - static_cast<double>(below);
      const at::Tensor& values = io_.at(table);
      return share == 0 ? values[below] : (1 - share) * values[below] + share * values[below + 1];
    };
    const auto denoiser = [&](const at::Tensor& latents, double timestep) {
      // The model's answer is the reference's also where its timestep, in float32, is another.
      const auto call = static_cast<std::int64_t>(timesteps.size());
      const auto asked = expected_timesteps[call].item<double>();
      visited.push_back(latents);
      timesteps.push_back(timestep);
      return between("gain", asked) * latents + between("offset", asked);
    };
    const auto step_noise = [&](std::int64_t step) { return io_.at("step_noise")[step]; };
    visited.push_back(sample(schedule, options, io_.at("initial_noise"), denoiser, step_noise));
    EXPECT_LE((at::tensor(timesteps, at::kDouble) - expected_timesteps).abs().max().item<double>(),
              timestep_tolerance(options))
        << what;
    expect_close(at::stack(visited), io_.at(prefix + ".latents"), what,
                 std::max(kParityAtol, rounding_of_x0(schedule, options)));
  }
  EXPECT_GE(checked, cases.size() - 4);
}

INSTANTIATE_TEST_SUITE_P(Schedules, DiffusionParityTest,
                         testing::Values("linear-epsilon", "linear-v_prediction", "linear-sample",
                                         "scaled_linear-epsilon", "scaled_linear-v_prediction",
                                         "scaled_linear-sample", "squaredcos_cap_v2-epsilon",
                                         "squaredcos_cap_v2-v_prediction",
                                         "squaredcos_cap_v2-sample", "zero_snr-v_prediction",
                                         "zero_snr-sample"));

/// diffusers' schedulers of the other formulations, each a whole trajectory.
class ContinuousParityTest : public testing::TestWithParam<const char*> {};

TEST_P(ContinuousParityTest, TrajectoryOfEuler) {
  const std::filesystem::path folder = parity_fixtures() / "diffusion" / GetParam();
  const TensorMap io = load_tensors(folder / "io.safetensors");
  const nlohmann::json config = read_json_file(folder / "scheduler_config.json");
  const auto process = make_noise_process(read_scheduler_config(config, "scheduler_config.json"));
  SamplerOptions options = read_sampler_options(config, "scheduler_config.json");
  options.steps = io.at("timesteps").size(0);
  std::vector<at::Tensor> visited;
  std::vector<double> timesteps;
  const auto denoiser = [&](const at::Tensor& latents, double timestep) {
    const auto call = static_cast<std::int64_t>(timesteps.size());
    visited.push_back(latents);
    timesteps.push_back(timestep);
    return io.at("gain")[call] * latents + io.at("offset")[call];
  };
  visited.push_back(sample(*process, options, io.at("initial_noise"), denoiser));
  // The reference's are float32, up to 1000.
  EXPECT_LE((at::tensor(timesteps, at::kDouble) - io.at("timesteps")).abs().max().item<double>(),
            1e-4);
  expect_close(at::stack(visited), io.at("latents"), GetParam());
}

INSTANTIATE_TEST_SUITE_P(Formulations, ContinuousParityTest,
                         testing::Values("edm", "edm-exponential", "flow_matching",
                                         "flow_matching-shift"));

}  // namespace
}  // namespace crescendo::diffusion
