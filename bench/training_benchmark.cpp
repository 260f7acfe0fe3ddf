// Times optimizer steps of a U-Net on random latents, and tells the peak of the process' memory:
// what mixed precision and gradient checkpointing cost and save on this machine.
//
//   bench_training unet/config.json --side 32 --batch 8 --gradient-checkpointing

#include <chrono>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include <ATen/Functions.h>

#include "core/cpu_tuning.h"
#include "core/image_format.h"
#include "diffusion/noise_schedule.h"
#include "pipelines/training/denoising_loss.h"
#include "pipelines/training/optimization.h"
#include "pipelines/training/precision.h"

namespace {

using namespace crescendo;  // NOLINT: a program of one file

struct Flags {
  std::string unet;
  std::int64_t side = 32;
  std::int64_t tokens = 77;
  std::int64_t batch = 8;
  std::int64_t steps = 5;
  std::string mixed_precision = "no";
  bool ema = false;
  bool gradient_checkpointing = false;
};

unet::UNet2DConditionOptions unet_options(const std::string& file) {
  return unet::read_unet_options(nlohmann::json::parse(std::ifstream(file)), file);
}

rusage usage() {
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  return usage;
}

double peak_gigabytes() { return static_cast<double>(usage().ru_maxrss) * 1024 / 1e9; }

/// Of all threads; what else runs on the machine counts little.
double cpu_seconds() {
  const rusage now = usage();
  return static_cast<double>(now.ru_utime.tv_sec + now.ru_stime.tv_sec) +
         static_cast<double>(now.ru_utime.tv_usec + now.ru_stime.tv_usec) / 1e6;
}

nlohmann::ordered_json run(const Flags& flags) {
  const unet::UNet2DConditionOptions architecture = unet_options(flags.unet);
  unet::UNet2DConditionModel model(architecture);
  unet::UNet2DConditionModel average{nullptr};
  move_to(*model, at::kCPU);
  if (flags.ema) {
    average = unet::UNet2DConditionModel(architecture);
    move_to(*average, at::kCPU);
  }
  if (flags.gradient_checkpointing) model->enable_gradient_checkpointing();
  const diffusion::NoiseSchedule schedule{diffusion::DiffusionOptions{}};
  pipelines::RunOptions options;
  options.mixed_precision = flags.mixed_precision;
  const AutocastState autocast = pipelines::autocast_of(options, at::kCPU);
  std::int64_t parameters = 0;
  for (const at::Tensor& parameter : model->parameters()) parameters += parameter.numel();
  pipelines::Optimization optimization(model.ptr(), average ? average.ptr() : nullptr, {});
  const double before = peak_gigabytes();
  const std::int64_t token_width = architecture.cross_attention_dim.values[0];
  const auto step = [&](std::int64_t number) {
    const at::Tensor latents =
        at::randn({flags.batch, architecture.in_channels, flags.side, flags.side});
    const pipelines::NoisedBatch batch{
        .latents = latents,
        .noise = at::randn_like(latents),
        .levels = at::randint(1000, {flags.batch}, at::kLong),
        .condition = {at::randn({flags.batch, flags.tokens, token_width}), {}, {}}};
    const at::Tensor loss = denoising_losses(model, schedule, batch, {}, autocast).mean();
    loss.backward();
    optimization.step(number);
    return loss.item<double>();
  };
  step(0);
  const double cpu_before = cpu_seconds();
  const auto began = std::chrono::steady_clock::now();
  double loss = 0;
  for (std::int64_t number = 1; number <= flags.steps; ++number) loss = step(number);
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - began;
  const auto steps = static_cast<double>(flags.steps);
  return {{"parameters", parameters},
          {"seconds_a_step", seconds.count() / steps},
          {"cpu_seconds_a_step", (cpu_seconds() - cpu_before) / steps},
          {"peak_gb", peak_gigabytes()},
          {"peak_gb_before_first_step", before},
          {"last_loss", loss}};
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times training steps of a text-conditional U-Net; prints JSON");
  Flags flags;
  app.add_option("unet", flags.unet, "config.json of the architecture")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--side", flags.side, "of the latents")->capture_default_str();
  app.add_option("--tokens", flags.tokens, "of a caption")->capture_default_str();
  app.add_option("--batch", flags.batch, "samples of a step")->capture_default_str();
  app.add_option("--steps", flags.steps, "after the first")->capture_default_str();
  app.add_option("--mixed-precision", flags.mixed_precision, "no or bf16")->capture_default_str();
  app.add_flag("--ema", flags.ema, "average the weights, too");
  app.add_flag("--gradient-checkpointing", flags.gradient_checkpointing, "as in [train]");
  CLI11_PARSE(app, argc, argv);
  tune_cpu();
  fmt::print("{}\n", run(flags).dump());
  return 0;
}
