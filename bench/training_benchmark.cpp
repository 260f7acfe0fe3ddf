// Times optimizer steps of a U-Net on random latents, and tells the peak of the process' memory:
// what mixed precision and gradient checkpointing cost and save on this machine. If wanted also a
// checkpoint of it, the operators of a step, and a large matrix product, which bounds them.
//
//   bench_training unet/config.json --side 32 --batch 8 --gradient-checkpointing

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <limits>
#include <string>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>
#include <sys/resource.h>

#include <ATen/Functions.h>

#include "bench/operator_times.h"
#include "core/device.h"
#include "core/stopwatch.h"
#include "diffusion/noise_schedule.h"
#include "pipelines/runs/checkpoint.h"
#include "pipelines/training/denoising_loss.h"
#include "pipelines/training/optimization.h"
#include "pipelines/training/precision.h"

namespace {

using namespace crescendo;  // NOLINT: a program of one file

struct Flags {
  std::string unet;
  std::string device = "cpu";
  std::int64_t side = 32;
  std::int64_t tokens = 77;
  std::int64_t batch = 8;
  std::int64_t steps = 5;
  std::string mixed_precision = "no";
  bool ema = false;
  bool gradient_checkpointing = false;
  bool operators = false;
  std::int64_t matmul = 0;
  std::string checkpoint;
};

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

unet::UNet2DConditionModel make_unet(const unet::UNet2DConditionOptions& architecture,
                                     at::Device device) {
  unet::UNet2DConditionModel model(architecture);
  model->to(device);
  return model;
}

pipelines::RunOptions run_options(const Flags& flags) {
  pipelines::RunOptions options;
  options.mixed_precision = flags.mixed_precision;
  return options;
}

class Training {
 public:
  Training(const Flags& flags, at::Device device)
      : flags_(flags),
        architecture_(
            unet::read_unet_options(nlohmann::json::parse(std::ifstream(flags.unet)), flags.unet)),
        options_(at::TensorOptions().device(device)),
        model_(make_unet(architecture_, device)),
        autocast_(pipelines::autocast_of(run_options(flags), device)),
        optimization_(model_.ptr(), flags.ema ? make_unet(architecture_, device).ptr() : nullptr,
                      {}) {
    if (flags.gradient_checkpointing) model_->enable_gradient_checkpointing();
  }

  /// On fresh random latents; the number is counted from 0. Returns the loss.
  double step(std::int64_t number) {
    const at::Tensor latents =
        at::randn({flags_.batch, architecture_.in_channels, flags_.side, flags_.side}, options_);
    const std::int64_t width = architecture_.cross_attention_dim.values[0];
    const pipelines::NoisedBatch batch{
        .latents = latents,
        .noise = at::randn_like(latents),
        .levels = at::randint(1000, {flags_.batch}, options_.dtype(at::kLong)),
        .condition = {at::randn({flags_.batch, flags_.tokens, width}, options_), {}, {}}};
    const at::Tensor loss = denoising_losses(model_, schedule_, batch, {}, autocast_).mean();
    loss.backward();
    optimization_.step(number);
    return loss.item<double>();
  }

  pipelines::Optimization& optimization() { return optimization_; }

  std::int64_t parameters() const {
    std::int64_t count = 0;
    for (const at::Tensor& parameter : model_->parameters()) count += parameter.numel();
    return count;
  }

 private:
  const Flags& flags_;
  unet::UNet2DConditionOptions architecture_;
  at::TensorOptions options_;
  unet::UNet2DConditionModel model_;
  diffusion::NoiseSchedule schedule_{diffusion::DiffusionOptions{}};
  AutocastState autocast_;
  pipelines::Optimization optimization_;
};

/// Seconds to save and to resume as `crescendo train` does, which goes on once the copy is made.
nlohmann::ordered_json time_checkpoint(pipelines::Optimization& optimization,
                                       const std::filesystem::path& folder) {
  const Stopwatch began;
  const pipelines::Checkpoint checkpoint{
      .step = 1, .state = {}, .files = pipelines::copy_to_host(optimization.files())};
  const double copied = began.seconds();
  pipelines::write_checkpoint(folder, checkpoint);
  const double saved = began.seconds();
  const Stopwatch resumed;
  pipelines::verify_checkpoint(folder);
  optimization.load(folder);
  return {{"copy", copied}, {"save", saved}, {"resume", resumed.seconds()}};
}

/// Floating point operations a second of the best of some products of float32 matrices.
double matmul_flops(std::int64_t size, at::Device device) {
  const at::Tensor left = at::randn({size, size}, device);
  const at::Tensor right = at::randn({size, size}, device);
  double best = std::numeric_limits<double>::max();
  for (int turn = 0; turn < 8; ++turn) {
    const Stopwatch began;
    at::mm(left, right)[0][0].item();  // which waits for a GPU
    best = std::min(best, began.seconds());
  }
  const auto sizes = static_cast<double>(size);
  return 2 * sizes * sizes * sizes / best;
}

nlohmann::ordered_json run(const Flags& flags) {
  const at::Device device = select_device(flags.device);
  Training training(flags, device);
  const double before = peak_gigabytes();
  training.step(0);
  const double cpu_before = cpu_seconds();
  const Stopwatch began;
  double loss = 0;
  for (std::int64_t number = 1; number <= flags.steps; ++number) loss = training.step(number);
  const auto steps = static_cast<double>(flags.steps);
  nlohmann::ordered_json result = {{"parameters", training.parameters()},
                                   {"seconds_a_step", began.seconds() / steps},
                                   {"cpu_seconds_a_step", (cpu_seconds() - cpu_before) / steps},
                                   {"peak_gb", peak_gigabytes()},
                                   {"peak_gb_before_first_step", before},
                                   {"last_loss", loss}};
  if (flags.operators) {
    result["operators"] = operator_times([&] { training.step(flags.steps + 1); });
  }
  if (!flags.checkpoint.empty()) {
    result["checkpoint"] = time_checkpoint(training.optimization(), flags.checkpoint);
  }
  if (flags.matmul > 0) result["matmul_flops"] = matmul_flops(flags.matmul, device);
  return result;
}

}  // namespace

int main(int argc, char** argv) {
  CLI::App app("Times training steps of a text-conditional U-Net; prints JSON");
  Flags flags;
  app.add_option("unet", flags.unet, "config.json of the architecture")
      ->required()
      ->check(CLI::ExistingFile);
  app.add_option("--device", flags.device, "as run.device")->capture_default_str();
  app.add_option("--side", flags.side, "of the latents")->capture_default_str();
  app.add_option("--tokens", flags.tokens, "of a caption")->capture_default_str();
  app.add_option("--batch", flags.batch, "samples of a step")->capture_default_str();
  app.add_option("--steps", flags.steps, "after the first")->capture_default_str();
  app.add_option("--mixed-precision", flags.mixed_precision, "no or bf16")->capture_default_str();
  app.add_flag("--ema", flags.ema, "average the weights, too");
  app.add_flag("--gradient-checkpointing", flags.gradient_checkpointing, "as in [train]");
  app.add_flag("--operators", flags.operators, "also the seconds of a step in each operator");
  app.add_option("--checkpoint", flags.checkpoint, "also save to this folder, and resume from it");
  app.add_option("--matmul", flags.matmul, "also the speed of a product of matrices of this size");
  CLI11_PARSE(app, argc, argv);
  fmt::print("{}\n", run(flags).dump());
  return 0;
}
