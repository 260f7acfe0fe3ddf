#include "pipelines/train.h"

#include "core/device.h"
#include "core/log.h"
#include "curriculum/curriculum.h"
#include "diffusion/noise_schedule.h"
#include "pipelines/config.h"
#include "pipelines/denoising_task.h"
#include "pipelines/image_generator.h"
#include "pipelines/precision.h"
#include "pipelines/train_setup.h"
#include "pipelines/training_data.h"
#include "pipelines/training_loop.h"

namespace crescendo::pipelines {

namespace {

std::int64_t count_parameters(const unet::UNet2DConditionModel& unet) {
  std::int64_t count = 0;
  for (const at::Tensor& parameter : unet->parameters()) count += parameter.numel();
  return count;
}

/// Opens everything that the run would, and encodes one batch.
void rehearse(const TrainConfig& config, at::Device device) {
  const DiffusionModel model = build_model(config, device);
  if (!sample_requests(config, model).empty()) {
    const ImageGenerator generator(model, device, sample_generation_options(config));
  }
  Conditioner conditioner = model.conditioner(device);
  TrainConfig streamed = config;
  streamed.conditioning.cache_latents = false;
  const auto data = open_training_data(streamed, model, conditioner, device, {});
  const EncodedBatch batch = data->next();
  const curriculum::Curriculum curriculum(config.curriculum,
                                          diffusion::NoiseSchedule(config.diffusion).snr());
  log::info("U-Net: {:.1f} M parameters on {}",
            static_cast<double>(count_parameters(model.unet)) / 1e6, device.str());
  log::info("data: {}", data->describe(samples_per_step(config.train)));
  log::info("latents: [{}] a batch, scaled by {:.4f}", fmt::join(batch.latents.mean.sizes(), ", "),
            model.vae->scaling_factor());
  log::info("curriculum: {}", curriculum.enabled() ? fmt::format("{} stages", curriculum.stages())
                                                   : std::string("off"));
  log::info("dry run: everything fits; nothing was written");
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
  RunFolder run(config.run, config.checkpoint, config_to_toml(sections(config), false),
                request.resume);
  DenoisingTask task(config, device);
  run_training(task, run,
               {.label = "train",
                .seed = static_cast<std::uint64_t>(config.run.seed),
                .train = config.train,
                .mixed_precision = config.run.mixed_precision,
                .checkpoint_every = config.checkpoint.every,
                .sample_every = config.sample.every});
  warn_of_truncation(task.conditioner());
  std::filesystem::path folder = run.path() / "model";
  save_model(task.trained_model(), folder, config.text_encoder.path,
             save_dtype(config.checkpoint.save_precision), task.non_ema());
  return folder;
}

}  // namespace crescendo::pipelines
