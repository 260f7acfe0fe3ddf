#include "pipelines/training/rehearsal.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <string>
#include <utility>

#include "core/device_memory.h"
#include "core/error.h"
#include "core/log.h"
#include "core/memory_use.h"
#include "core/progress.h"
#include "core/stopwatch.h"
#include "pipelines/runs/checkpoint.h"
#include "pipelines/training/denoising_task.h"
#include "pipelines/training/training_step.h"

namespace crescendo::pipelines {

namespace {

std::string in_bytes(std::int64_t bytes) {
  const auto value = static_cast<double>(bytes);
  return value < 1e9 ? fmt::format("{:.1f} MB", value / 1e6)
                     : fmt::format("{:.2f} GB", value / 1e9);
}

void tell_latents(const TrainConfig& config, const DiffusionModel& model) {
  const std::int64_t side = model.latent_side(config.data.resolution, "data.resolution");
  log::info("latents: [{}, {}, {}, {}] a batch, scaled by {:.4f}", config.train.train_batch_size,
            model.vae->latent_channels(), side, side, model.vae->scaling_factor());
}

void tell_curriculum(const curriculum::Curriculum& curriculum) {
  log::info("curriculum: {}", curriculum.enabled() ? fmt::format("{} stages", curriculum.stages())
                                                   : std::string("off"));
}

/// Both steps are whole; the second is the one to count on, as the first one warms everything up.
StepResult second_step(DenoisingTask& task, const TrainConfig& config, Communicator& ranks) {
  TrainingLoopOptions options{.label = "dry run",
                              .seed = static_cast<std::uint64_t>(config.run.seed),
                              .train = config.train,
                              .mixed_precision = config.run.mixed_precision,
                              .ranks = ranks};
  constexpr std::int64_t kSteps = 2;
  options.train.max_nonfinite_steps =
      std::max(kSteps, options.train.max_nonfinite_steps);  // no dump
  TrainingStep step(task, options, {});
  step.take(0);
  return step.take(1);
}

void tell_step(const OptimizationOptions& train, const StepResult& step, int ranks) {
  const std::size_t images = step.samples.keys.size();
  log::info(
      "a step: {} images ({}{} x {} accumulated), {:.3g} s, {:.3g} images/s, {:.0f}% of it waiting "
      "for data; measured at the second step",
      images, ranks > 1 ? fmt::format("{} ranks x ", ranks) : "", train.train_batch_size,
      train.gradient_accumulation_steps, step.seconds, static_cast<double>(images) / step.seconds,
      100 * step.samples.data_seconds / step.seconds);
}

void tell_epochs(const OptimizationOptions& train, std::optional<std::uint64_t> samples,
                 int ranks) {
  const auto a_step = static_cast<double>(samples_per_step(train, ranks));
  const double images = a_step * static_cast<double>(train.max_train_steps);
  if (!samples) {
    log::info("epochs: {} steps take {:.0f} samples; an epoch's are not known before one is read",
              train.max_train_steps, images);
    return;
  }
  const auto epoch = static_cast<double>(*samples);
  log::info("epochs: {} samples are {:.6g} steps; {} steps are {:.6g} epochs", *samples,
            epoch / a_step, train.max_train_steps, images / epoch);
}

void tell_memory(at::Device device) {
  const std::int64_t on_device = peak_device_bytes(device);
  log::info("memory: {} at most{}", in_bytes(peak_resident_bytes()),
            on_device > 0 ? fmt::format(", and {} on {}", in_bytes(on_device), device.str()) : "");
}

void tell_checkpoint(const Optimization& optimization, const CheckpointOptions& options) {
  std::int64_t bytes = 0;
  for (const auto& [name, tensors] : optimization.files()) {
    for (const auto& [key, tensor] : tensors) bytes += static_cast<std::int64_t>(tensor.nbytes());
  }
  log::info("checkpoint: {}, every {} steps", in_bytes(bytes), options.every);
}

/// The checkpoint that the run would go on from.
std::optional<CheckpointFolder> begin_of(const std::filesystem::path& run, const Resume& resume) {
  if (!resume.from.empty()) {
    verify_checkpoint(resume.from);
    const nlohmann::json state = read_checkpoint_state(resume.from);
    return CheckpointFolder{state["step"].get<std::int64_t>(), resume.from};
  }
  return run.empty() ? std::nullopt : newest_whole_checkpoint(run);
}

void tell_end(const TrainConfig& config, const Resume& resume, double seconds_a_step) {
  const auto begin = begin_of(config.run.output_dir, resume);
  if (begin) log::info("would resume at step {} from {}", begin->step, begin->path.string());
  const std::int64_t left =
      std::max<std::int64_t>(0, config.train.max_train_steps - (begin ? begin->step : 0));
  log::info(
      "time to finish: about {} for {} steps; pictures, validation and checkpoints come on top",
      format_duration(seconds_a_step * static_cast<double>(left)), left);
}

}  // namespace

void rehearse(const TrainConfig& config, at::Device device, const Resume& resume,
              Communicator& ranks) {
  DenoisingTask task(config, device, ranks);
  const DiffusionModel model = task.trained_model();
  log::info("{}", describe_unet(model.unet, device));
  tell_latents(config, model);
  tell_curriculum(task.curriculum());
  task.start();
  const StepResult step = second_step(task, config, ranks);
  if (step.skipped) log::warn("the second step's loss or gradient is not finite");
  tell_step(config.train, step, ranks.size());
  const Stopwatch validation;
  if (task.validate(0)) log::info("validation: {:.3g} s", validation.seconds());
  tell_epochs(config.train, task.data().epoch_samples(), ranks.size());
  tell_memory(device);
  tell_checkpoint(task.optimization(), config.checkpoint);
  tell_end(config, resume, step.seconds);
  log::info("dry run: everything fits; nothing was written");
}

}  // namespace crescendo::pipelines
