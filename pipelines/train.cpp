#include "pipelines/train.h"

#include <optional>

#include "core/error.h"
#include "core/log.h"
#include "pipelines/config/config.h"
#include "pipelines/models/lora_file.h"
#include "pipelines/training/denoising_task.h"
#include "pipelines/training/precision.h"
#include "pipelines/training/rank_device.h"
#include "pipelines/training/rehearsal.h"
#include "pipelines/training/same_beginning.h"
#include "pipelines/training/train_setup.h"
#include "pipelines/training/training_loop.h"

namespace crescendo::pipelines {

namespace {

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

/// The model, or the LoRA, as it is to be used: below `folder`.
void save_trained(const DenoisingTask& task, const TrainConfig& config,
                  const std::filesystem::path& folder) {
  const at::ScalarType dtype = save_dtype(config.checkpoint.save_precision);
  if (task.lora() != nullptr) {
    write_lora(folder / kLoraFileName, task.lora()->trained(), config.lora, config.lora_format,
               dtype);
  } else {
    save_model(task.trained_model(), folder, config.text_encoder.path, dtype, task.non_ema());
  }
}

/// The same of the checkpoint with the lowest held-out loss, whose weights the task then has.
void save_best(DenoisingTask& task, RunFolder& run, const TrainConfig& config) {
  try {
    const std::filesystem::path best = run.best_checkpoint();
    if (best.empty()) {
      log::warn("no model-best/: validation.every was not reached, or no held-out loss was finite");
      return;
    }
    verify_checkpoint(best);
    task.optimization().load(best);
    save_trained(task, config, run.path() / "model-best");
    log::info("model-best/ is of {}", best.string());
  } catch (const DataError& failure) {
    log::error("no model-best/: the best checkpoint is damaged: {}", failure.what());
  }
}

}  // namespace

std::filesystem::path train(const TrainRequest& request, Communicator& ranks) {
  TrainConfig config;
  read_config(request.config, request.overrides, sections(config));
  check(config);
  const RunConfig resolved = run_config("train", config, ranks.size());
  require_same_beginning(ranks, resolved.toml, config.data.shards);
  const at::Device device = select_device(config.run.device, ranks);
  autocast_of(config.run, device);  // what it refuses is refused before anything is written
  if (request.dry_run) {
    rehearse(config, device, request.resume, ranks);
    return {};
  }
  std::optional<RunFolder> run;
  if (ranks.leads()) run.emplace(config.run, config.checkpoint, resolved, request.resume);
  const std::filesystem::path folder = std::filesystem::path(config.run.output_dir) / "model";
  std::filesystem::path result = config.lora.rank > 0 ? folder / kLoraFileName : folder;
  if (ranks.any(run && run->finished(config.train.max_train_steps))) {
    return run ? result : std::filesystem::path();
  }
  DenoisingTask task(config, device, ranks);
  std::optional<RunMonitor> monitor;
  if (run) {
    monitor.emplace(run->path(), describe(task, config, resolved.toml, device),
                    config.run.report_to == "tensorboard");
  }
  const ValidationOptions& validation = config.validation;
  const bool trained = run_training(task, run ? &*run : nullptr, monitor ? &*monitor : nullptr,
                                    {.label = "train",
                                     .seed = static_cast<std::uint64_t>(config.run.seed),
                                     .train = config.train,
                                     .mixed_precision = config.run.mixed_precision,
                                     .checkpoint_every = config.checkpoint.every,
                                     .validate_every = validation.enabled() ? validation.every : 0,
                                     .keep_best = config.checkpoint.keep_best,
                                     .sample_every = config.sample.every,
                                     .evaluate_every = config.evaluate.every,
                                     .ranks = ranks});
  warn_of_truncation(task.conditioner());
  if (!trained || !run) return {};
  save_trained(task, config, folder);
  if (config.checkpoint.keep_best) save_best(task, *run, config);
  run->finish(config.train.max_train_steps);
  monitor->finish(RunState::kFinished);
  return result;
}

}  // namespace crescendo::pipelines
