#include "pipelines/drawing_model.h"

#include "core/error.h"
#include "core/log.h"
#include "core/lora.h"
#include "core/module_io.h"
#include "pipelines/config/config.h"
#include "pipelines/config/options.h"
#include "pipelines/models/apply_lora.h"
#include "pipelines/models/lora_file.h"
#include "pipelines/models/single_file_model.h"
#include "pipelines/runs/checkpoint.h"
#include "pipelines/runs/run_folder.h"
#include "pipelines/training/train_setup.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

bool is_run(const fs::path& path) {
  return fs::exists(path / "config.toml") &&
         (has_finished_model(path) || !list_checkpoints(path).empty());
}

TrainConfig config_of_run(const fs::path& run) {
  TrainConfig config;
  read_config(run / "config.toml", {}, sections(config));
  check(config);
  return config;
}

/// The averaged weights of a run's newest checkpoint; the trained ones where it has no average.
DiffusionModel load_checkpoint_of(const fs::path& run, const TrainConfig& config) {
  const auto newest = newest_whole_checkpoint(run);
  if (!newest) throw UserError("{}: none of its checkpoints is whole", run.string());
  const bool has_average = fs::exists(newest->path / "ema.safetensors");
  const fs::path weights = newest->path / (has_average ? "ema.safetensors" : "weights.safetensors");
  DiffusionModel model = build_model(config, at::kCPU);
  if (config.lora.rank > 0) {
    Lora lora(lora_targets(*model.unet, config.lora), config.lora, /*seed=*/0);
    load_weights(*lora, weights);
    merge_lora(*model.unet, lora->layers(), 1);
  } else {
    load_weights(*model.unet, weights);
  }
  log::info("the run is not finished; draws with the {} weights of {}",
            has_average ? "averaged" : "trained", newest->path.string());
  return model;
}

/// What a run has come to: its model/, or its newest checkpoint. That of a LoRA is on the model it
/// is trained on.
DiffusionModel load_run(const fs::path& run, const Placement& placement) {
  const bool is_finished = has_finished_model(run);
  if (is_finished && !fs::exists(run / "model" / kLoraFileName)) return load_model(run, placement);
  const TrainConfig config = config_of_run(run);
  DiffusionModel model =
      is_finished ? build_model(config, at::kCPU) : load_checkpoint_of(run, config);
  if (is_finished) apply_lora(model, run, 1);
  model.unet->to(placement.dtype);
  return model;
}

DiffusionModel load(const ModelChoice& choice, const Placement& placement) {
  const fs::path& path = choice.path;
  if (!fs::exists(path)) {
    throw UserError(
        "{}: does not exist; --model expects a model folder, a run or a .safetensors file",
        path.string());
  }
  if (path.extension() == ".safetensors" && !fs::is_directory(path)) {
    return load_single_file(path, choice.config, choice.templates, placement);
  }
  if (!choice.config.empty()) {
    throw UserError("--config: is for a single file; a folder has its configurations");
  }
  return is_run(path) ? load_run(path, placement) : load_model(path, placement);
}

}  // namespace

DiffusionModel open_drawing_model(const ModelChoice& choice, at::Device device) {
  DiffusionModel model = load(choice, {device, dtype_named(choice.dtype), /*mapped=*/true});
  for (const LoraChoice& lora : choice.loras) apply_lora(model, lora.path, lora.weight);
  model.to(device);
  model.unet->eval();
  model.vae->eval();
  if (choice.vae_tiling) model.vae->enable_tiling();
  if (choice.vae_slicing) model.vae->enable_slicing();
  return model;
}

}  // namespace crescendo::pipelines
