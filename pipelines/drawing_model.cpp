#include "pipelines/drawing_model.h"

#include "core/error.h"
#include "core/log.h"
#include "core/module_io.h"
#include "pipelines/config/config.h"
#include "pipelines/config/options.h"
#include "pipelines/models/single_file_model.h"
#include "pipelines/runs/checkpoint.h"
#include "pipelines/runs/run_folder.h"
#include "pipelines/training/train_setup.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

/// A run that its checkpoints are ahead of model/, because it has not come to its end, or goes on.
bool is_under_way(const fs::path& path) {
  return !has_finished_model(path) && fs::exists(path / "config.toml") &&
         !list_checkpoints(path).empty();
}

/// The averaged weights of a run's newest checkpoint; the trained ones where it has no average.
DiffusionModel load_checkpoint_of(const fs::path& run, const Placement& placement) {
  TrainConfig config;
  read_config(run / "config.toml", {}, sections(config));
  check(config);
  if (config.lora.rank > 0) {
    throw UserError(
        "{}: a LoRA that is not finished; expected the model it is trained on, and this one as "
        "--lora when it is done",
        run.string());
  }
  const auto newest = newest_whole_checkpoint(run);
  if (!newest) throw UserError("{}: none of its checkpoints is whole", run.string());
  const fs::path& checkpoint = newest->path;
  const bool has_average = fs::exists(checkpoint / "ema.safetensors");
  DiffusionModel model = build_model(config, at::kCPU);
  load_weights(*model.unet, checkpoint / (has_average ? "ema.safetensors" : "weights.safetensors"));
  model.unet->to(placement.dtype);
  log::info("the run is not finished; draws with the {} weights of {}",
            has_average ? "averaged" : "trained", checkpoint.string());
  return model;
}

DiffusionModel load(const DrawingModelRequest& request, const Placement& placement) {
  const fs::path& path = request.model;
  if (path.extension() == ".safetensors" && !fs::is_directory(path)) {
    return load_single_file(path, request.config, request.templates, placement);
  }
  if (!request.config.empty()) {
    throw UserError("--config: is for a single file; a folder has its configurations");
  }
  return is_under_way(path) ? load_checkpoint_of(path, placement) : load_model(path, placement);
}

}  // namespace

DiffusionModel open_drawing_model(const DrawingModelRequest& request, at::Device device,
                                  at::ScalarType dtype) {
  DiffusionModel model = load(request, {device, dtype, /*mapped=*/true});
  for (const LoraChoice& lora : request.loras) apply_lora(model, lora.path, lora.weight);
  model.to(device);
  model.unet->eval();
  model.vae->eval();
  if (request.vae_tiling) model.vae->enable_tiling();
  if (request.vae_slicing) model.vae->enable_slicing();
  return model;
}

}  // namespace crescendo::pipelines
