#include "pipelines/train.h"

#include "core/device.h"
#include "core/log.h"
#include "curriculum/curriculum.h"
#include "diffusion/noise_process.h"
#include "pipelines/config/config.h"
#include "pipelines/generation/image_generator.h"
#include "pipelines/models/lora_file.h"
#include "pipelines/training/denoising_task.h"
#include "pipelines/training/noise_levels.h"
#include "pipelines/training/precision.h"
#include "pipelines/training/train_setup.h"
#include "pipelines/training/training_data.h"
#include "pipelines/training/training_loop.h"

namespace crescendo::pipelines {

namespace {

std::int64_t count_parameters(const unet::UNet2DConditionModel& unet) {
  std::int64_t count = 0;
  for (const at::Tensor& parameter : unet->parameters()) count += parameter.numel();
  return count;
}

std::string describe_unet(const unet::UNet2DConditionModel& unet, at::Device device) {
  return fmt::format("U-Net: {:.1f} M parameters on {}",
                     static_cast<double>(count_parameters(unet)) / 1e6, device.str());
}

/// Opens everything that the run would, and encodes one batch.
void rehearse(const TrainConfig& config, at::Device device) {
  const DiffusionModel model = build_model(config, device);
  build_lora(config, model.unet);
  if (!sample_requests(config, model).empty()) {
    ImageGenerator(model, device).check(sample_generation_options(config));
  }
  Conditioner conditioner = model.conditioner(device);
  TrainConfig streamed = config;
  streamed.conditioning.cache_latents = false;
  const auto data = open_training_data(streamed, model, conditioner, device, {});
  const EncodedBatch batch = data->next();
  const auto process = diffusion::make_noise_process(config.diffusion);
  const curriculum::Curriculum curriculum(config.curriculum, noise_axis(*process));
  log::info("{}", describe_unet(model.unet, device));
  log::info("data: {}", data->describe(samples_per_step(config.train)));
  log::info("latents: [{}] a batch, scaled by {:.4f}", fmt::join(batch.latents.mean.sizes(), ", "),
            model.vae->scaling_factor());
  log::info("curriculum: {}", curriculum.enabled() ? fmt::format("{} stages", curriculum.stages())
                                                   : std::string("off"));
  log::info("{}", describe_clusters(*process, curriculum.clusters()));
  log::info("dry run: everything fits; nothing was written");
}

RunDescription describe(const DenoisingTask& task, const TrainConfig& config,
                        const std::string& resolved, at::Device device) {
  const curriculum::Curriculum& curriculum = task.curriculum();
  return {.command = "train",
          .config = resolved,
          .steps = config.train.max_train_steps,
          .stages = curriculum.enabled() ? curriculum.stages() : 1,
          .what = describe_unet(task.trained_model().unet, device)};
}

void warn_of_truncation(const Conditioner& conditioner) {
  if (conditioner.truncated_captions() == 0) return;
  log::warn("{} of {} captions were longer than text_encoder.max_length and were cut",
            conditioner.truncated_captions(), conditioner.captions());
}

}  // namespace

std::filesystem::path train(const TrainRequest& request) {
  TrainConfig config;
  read_config(request.config, request.overrides, sections(config));
  check(config);
  const at::Device device = select_device(config.run.device);
  autocast_of(config.run, device);  // what it refuses is refused before anything is written
  if (request.dry_run) {
    rehearse(config, device);
    return {};
  }
  const RunConfig resolved = run_config("train", config);
  RunFolder run(config.run, config.checkpoint, resolved, request.resume);
  const std::filesystem::path folder = run.path() / "model";
  std::filesystem::path result = config.lora.rank > 0 ? folder / kLoraFileName : folder;
  if (run.finished(config.train.max_train_steps)) return result;
  DenoisingTask task(config, device);
  RunMonitor monitor(run.path(), describe(task, config, resolved.toml, device),
                     config.run.report_to == "tensorboard");
  const bool trained = run_training(task, run, monitor,
                                    {.label = "train",
                                     .seed = static_cast<std::uint64_t>(config.run.seed),
                                     .train = config.train,
                                     .mixed_precision = config.run.mixed_precision,
                                     .checkpoint_every = config.checkpoint.every,
                                     .sample_every = config.sample.every});
  warn_of_truncation(task.conditioner());
  if (!trained) return {};
  const at::ScalarType dtype = save_dtype(config.checkpoint.save_precision);
  if (task.lora() != nullptr) {
    write_lora(result, task.lora()->trained(), config.lora, config.lora_format, dtype);
  } else {
    save_model(task.trained_model(), folder, config.text_encoder.path, dtype, task.non_ema());
  }
  run.finish(config.train.max_train_steps);
  monitor.finish(RunState::kFinished);
  return result;
}

}  // namespace crescendo::pipelines
