#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/tensor_io.h"
#include "diffusion/noise_schedule.h"
#include "diffusion/sampler.h"
#include "diffusion/scheduler_config.h"
#include "tests/parity/expect_close.h"
#include "tests/parity/fixtures.h"

namespace crescendo::diffusion {
namespace {

class ImageToImageParityTest : public testing::Test {
 protected:
  /// Compares every model call and the end with the reference's, for the cases that have `name`.
  void expect_equal_drawing(const std::string& name, const at::Tensor& mask) {
    const auto cases = read_json_file(folder_ / "cases.json");
    for (std::size_t i = 0; i < cases.size(); ++i) {
      const std::string prefix = name + std::to_string(i);
      if (!io_.contains(prefix + ".latents")) continue;
      nlohmann::json keys = cases[i];
      const auto strength = keys["strength"].get<double>();
      keys.erase("strength");
      SamplerOptions options;
      ASSERT_TRUE(assign_fields(fields(options), keys).empty());
      const at::Tensor timesteps = io_.at(prefix + ".timesteps");
      std::vector<at::Tensor> visited;
      const auto denoiser = [&](const at::Tensor& latents, double timestep) {
        const auto call = static_cast<std::int64_t>(visited.size());
        EXPECT_LT(call, timesteps.size(0)) << cases[i];
        const auto asked = timesteps[call].item<double>();
        // As in the trajectories: fractions by log sigma in float32, cut by DPM-Solver.
        EXPECT_NEAR(timestep, asked, options.scheduler == "discrete" ? 1e-4 : 1) << cases[i];
        visited.push_back(latents);
        return between("gain", asked) * latents + between("offset", asked);
      };
      visited.push_back(sample(schedule_, options, io_.at("noise"), denoiser, {}, {},
                               {.x0 = io_.at("x0"),
                                .first_step = first_step_of(options.steps, strength),
                                .mask = mask}));
      expect_close(at::stack(visited), io_.at(prefix + ".latents"), cases[i].dump());
      ++compared_;
    }
  }

  at::Tensor between(const char* table, double timestep) const {
    const auto below = static_cast<std::int64_t>(timestep);
    const double share = timestep - static_cast<double>(below);
    const at::Tensor& values = io_.at(table);
    return share == 0 ? values[below] : (1 - share) * values[below] + share * values[below + 1];
  }

  std::filesystem::path folder_ = parity_fixtures() / "image_to_image";
  TensorMap io_ = load_tensors(folder_ / "io.safetensors");
  NoiseSchedule schedule_{read_scheduler_config(read_json_file(folder_ / "scheduler_config.json"),
                                                "scheduler_config.json")};
  int compared_ = 0;
};

TEST_F(ImageToImageParityTest, BeginsAndGoesOnAsTheReference) {
  expect_equal_drawing("image", {});
  EXPECT_EQ(compared_, 8);
}

TEST_F(ImageToImageParityTest, PutsBackWhatIsMasked) {
  expect_equal_drawing("masked", io_.at("mask"));
  EXPECT_EQ(compared_, 7);
}

TEST_F(ImageToImageParityTest, GuidanceIsRescaled) {
  expect_close(rescale_guidance(io_.at("guided"), io_.at("text"), 0.7), io_.at("rescaled"),
               "rescaled");
}

}  // namespace
}  // namespace crescendo::diffusion
