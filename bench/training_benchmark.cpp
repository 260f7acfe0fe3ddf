// Times optimizer steps of a U-Net on random latents, and tells the peak of the process' memory:
// what mixed precision and gradient checkpointing cost and save on this machine.
//
//   bench_training --channels 128 256 384 --side 32 --batch 8 --gradient-checkpointing

#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <sys/resource.h>

#include <ATen/Functions.h>

#include "pipelines/training/denoising_loss.h"
#include "pipelines/training/optimization.h"
#include "pipelines/training/precision.h"

namespace {

using namespace crescendo;  // NOLINT: a program of one file

struct Flags {
  std::vector<std::int64_t> channels{128, 256, 384};
  std::int64_t layers = 2;
  std::int64_t side = 32;
  std::int64_t batch = 8;
  std::int64_t steps = 5;
  std::string mixed_precision = "no";
  bool gradient_checkpointing = false;
};

unet::UNet2DConditionOptions unet_options(const Flags& flags) {
  unet::UNet2DConditionOptions options;
  options.block_out_channels = flags.channels;
  options.down_block_types.assign(flags.channels.size(), "CrossAttnDownBlock2D");
  options.up_block_types.assign(flags.channels.size(), "CrossAttnUpBlock2D");
  options.layers_per_block = {{flags.layers}};
  options.cross_attention_dim = {{768}};
  return options;
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

void run(const Flags& flags) {
  unet::UNet2DConditionModel model(unet_options(flags));
  if (flags.gradient_checkpointing) model->enable_gradient_checkpointing();
  const diffusion::NoiseSchedule schedule{diffusion::DiffusionOptions{}};
  pipelines::RunOptions options;
  options.mixed_precision = flags.mixed_precision;
  const AutocastState autocast = pipelines::autocast_of(options, at::kCPU);
  std::int64_t parameters = 0;
  for (const at::Tensor& parameter : model->parameters()) parameters += parameter.numel();
  pipelines::Optimization optimization(model.ptr(), nullptr, {});
  const double before = peak_gigabytes();
  const auto step = [&](std::int64_t number) {
    const at::Tensor latents = at::randn({flags.batch, 4, flags.side, flags.side});
    const pipelines::NoisedBatch batch{.latents = latents,
                                       .noise = at::randn_like(latents),
                                       .levels = at::randint(1000, {flags.batch}, at::kLong),
                                       .condition = {at::randn({flags.batch, 77, 768}), {}, {}}};
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
  const double cpu = cpu_seconds() - cpu_before;
  fmt::print(
      "{:.1f} M parameters, mixed_precision {}, gradient_checkpointing {}: {:.2f} s a step ({:.2f} "
      "s "
      "of CPU), peak {:.2f} GB ({:.2f} GB before the first step), last loss {:.4f}\n",
      static_cast<double>(parameters) / 1e6, flags.mixed_precision, flags.gradient_checkpointing,
      seconds.count() / static_cast<double>(flags.steps), cpu / static_cast<double>(flags.steps),
      peak_gigabytes(), before, loss);
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times training steps");
  Flags flags;
  app.add_option("--channels", flags.channels, "of each level")->capture_default_str();
  app.add_option("--layers", flags.layers, "of each block")->capture_default_str();
  app.add_option("--side", flags.side, "of the latents")->capture_default_str();
  app.add_option("--batch", flags.batch, "samples of a step")->capture_default_str();
  app.add_option("--steps", flags.steps, "after the first")->capture_default_str();
  app.add_option("--mixed-precision", flags.mixed_precision, "no or bf16")->capture_default_str();
  app.add_flag("--gradient-checkpointing", flags.gradient_checkpointing, "as in [train]");
  CLI11_PARSE(app, argc, argv);
  run(flags);
  return 0;
}
