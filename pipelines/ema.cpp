#include "pipelines/ema.h"

#include <cstddef>

#include <c10/core/GradMode.h>

#include "core/error.h"
#include "core/log.h"
#include "core/lora.h"
#include "core/module_io.h"
#include "pipelines/config/config.h"
#include "pipelines/config/options.h"
#include "pipelines/models/lora_file.h"
#include "pipelines/runs/run_folder.h"
#include "pipelines/training/posthoc_snapshots.h"
#include "pipelines/training/train_setup.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

/// Those up to the step that is asked for, which there must be.
std::vector<PosthocSnapshot> snapshots_for(const EmaRequest& request) {
  std::vector<PosthocSnapshot> snapshots = list_posthoc_snapshots(request.run);
  if (snapshots.empty()) {
    throw UserError(
        "{}: no snapshots in posthoc_ema/; train with --set train.posthoc_ema=[0.05,0.1]",
        request.run.string());
  }
  const std::int64_t wanted = request.step.value_or(snapshots.back().step);
  std::erase_if(snapshots, [&](const PosthocSnapshot& one) { return one.step > wanted; });
  if (snapshots.empty() || snapshots.back().step != wanted) {
    throw UserError("--step: expected the step of a snapshot in {}, found {}",
                    (request.run / "posthoc_ema").string(), wanted);
  }
  return snapshots;
}

/// Copies the averages over the parameters of those names.
void take_over(torch::nn::Module& trained, const TensorMap& averages, const fs::path& run) {
  const c10::NoGradGuard no_grad;
  TensorMap state = state_of(trained);
  for (const auto& [name, tensor] : averages) {
    const auto found = state.find(name);
    if (found == state.end() || found->second.sizes() != tensor.sizes()) {
      throw DataError("{}: tensor '{}' of the snapshots is not one that the run trains",
                      (run / "posthoc_ema").string(), name);
    }
    found->second.copy_(tensor);
  }
}

}  // namespace

fs::path make_ema(const EmaRequest& request) {
  TrainConfig config;
  read_config(request.run / "config.toml", {}, sections(config));
  check(config);
  const std::vector<PosthocSnapshot> snapshots = snapshots_for(request);
  std::vector<PowerProfile> profiles;
  for (const PosthocSnapshot& snapshot : snapshots) profiles.push_back(snapshot.profile);
  const double updates = profiles.back().updates;
  const std::vector<double> factors = combine(profiles, {power_of(request.sigma_rel), updates});
  // What is frozen is as it was at the start.
  DiffusionModel model = build_model(config, at::kCPU);
  const TensorMap average = add_up(snapshots, factors);
  const at::ScalarType dtype = save_dtype(config.checkpoint.save_precision);
  fs::path written = request.output;
  if (config.lora.rank > 0) {
    Lora lora(lora_targets(*model.unet, config.lora), config.lora, /*seed=*/0);
    take_over(*lora, average, request.run);
    written /= kLoraFileName;
    write_lora(written, lora->layers(), config.lora, config.lora_format, dtype);
  } else {
    take_over(*model.unet, average, request.run);
    save_model(model, written, config.text_encoder.path, dtype,
               unet::UNet2DConditionModel(nullptr));
  }
  log::info("average of sigma_rel {} at step {}, of {} snapshots", request.sigma_rel,
            snapshots.back().step, snapshots.size());
  return written;
}

}  // namespace crescendo::pipelines
