#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/module_io.h"
#include "pipelines/config/options.h"
#include "pipelines/training/denoising_loss.h"
#include "pipelines/training/training_loop.h"
#include "pipelines/training/training_step.h"
#include "tests/core/temporary_folder.h"
#include "tests/parity/fixtures.h"

namespace crescendo::pipelines {
namespace {

/// Sets what `values` says of a config's section.
void assign(TrainConfig& config, const std::string& name, const nlohmann::json& values) {
  for (const Section& section : sections(config)) {
    if (section.name != name) continue;
    EXPECT_TRUE(assign_fields(section.fields, values).empty()) << values;
  }
}

/// The batches that reference/training.py drew, one a pass.
class RecordedTask final : public TrainingTask {
 public:
  RecordedTask(const TrainConfig& config, const std::filesystem::path& folder)
      : config_(config),
        schedule_(config.diffusion),
        unet_(unet::load_unet(folder)),
        average_(unet_->options()),
        optimization_(unet_.ptr(), average_.ptr(), config.train),
        recorded_(load_tensors(folder / "training.safetensors")) {
    if (config.denoising.gradient_checkpointing) unet_->enable_gradient_checkpointing();
  }

  Optimization& optimization() override { return optimization_; }
  nlohmann::json state() const override { return {}; }
  void load_state(const nlohmann::json& /*state*/) override {}
  void start() override {}

  ForwardPass forward() override {
    const auto of_pass = [&](const std::string& name) {
      const auto found = recorded_.find("batch." + name);
      return found == recorded_.end() ? at::Tensor() : found->second[passes_];
    };
    const NoisedBatch batch{.latents = of_pass("latents"),
                            .noise = of_pass("noise"),
                            .levels = of_pass("timesteps"),
                            .offset = of_pass("offset"),
                            .perturbation = of_pass("perturbation"),
                            .condition = {of_pass("encoder_hidden_states"), {}, {}}};
    ++passes_;
    return {.losses = denoising_losses(
                unet_, schedule_, batch,
                {config_.denoising.noise_offset, config_.denoising.input_perturbation}, {}),
            .keys = {"a", "b"}};
  }

  const TensorMap& recorded() const { return recorded_; }
  const unet::UNet2DConditionModel& average() const { return average_; }

 private:
  TrainConfig config_;
  diffusion::NoiseSchedule schedule_;
  unet::UNet2DConditionModel unet_;
  unet::UNet2DConditionModel average_;
  Optimization optimization_;
  TensorMap recorded_;
  std::int64_t passes_ = 0;
};

class TrainingRunParityTest : public testing::TestWithParam<std::tuple<const char*, bool>> {};

TEST_P(TrainingRunParityTest, TwentyStepsEqualTheReferences) {
  const auto& [name, recompute] = GetParam();
  const auto folder = parity_fixtures() / "training" / name;
  const nlohmann::json written = read_json_file(folder / "training.json");
  TrainConfig config;
  config.diffusion.loss_weighting = "min_snr";
  config.denoising.gradient_checkpointing = recompute;
  assign(config, "diffusion", written["diffusion"]);
  assign(config, "train", written["noise"]);
  assign(config, "train", written["train"]);
  RecordedTask task(config, folder);
  const TrainingLoopOptions options{.label = "train", .train = config.train};
  const TemporaryFolder dumps;
  TrainingStep step(task, options, dumps.path());
  const at::Tensor expected = task.recorded().at("losses");
  ASSERT_EQ(expected.size(0), 20);
  for (std::int64_t i = 0; i < expected.size(0); ++i) {
    const auto loss = expected[i].item<double>();
    EXPECT_NEAR(step.take(i).loss, loss, 1e-5 * loss) << i;
  }
  for (const auto& [key, tensor] : state_of(*task.average())) {
    const at::Tensor average = task.recorded().at("average." + key);
    EXPECT_LE((tensor - average).abs().max().item<double>(), 5e-6) << key;
  }
}

INSTANTIATE_TEST_SUITE_P(Runs, TrainingRunParityTest,
                         testing::Combine(testing::Values("epsilon", "v_prediction"),
                                          testing::Bool()));

TEST(SchedulesParityTest, LearningRatesAndEmaDecays) {
  const nlohmann::json cases = read_json_file(parity_fixtures() / "training/schedules.json");
  const auto compare = [&](const char* kind, auto value_at) {
    ASSERT_FALSE(cases[kind].empty());
    for (const nlohmann::json& one : cases[kind]) {
      TrainConfig config;
      assign(config, "train", one["options"]);
      for (std::size_t i = 0; i < one["steps"].size(); ++i) {
        const auto expected = one["values"][i].get<double>();
        EXPECT_NEAR(value_at(config.train, one["steps"][i]), expected, 1e-15)
            << one["options"] << " at " << one["steps"][i];
      }
    }
  };
  compare("learning_rates", learning_rate_at);
  compare("ema_decays", ema_decay_at);
}

}  // namespace
}  // namespace crescendo::pipelines
