#pragma once

#include <memory>
#include <string>
#include <vector>

#include "pipelines/config/options.h"
#include "pipelines/generation/image_generator.h"
#include "pipelines/models/model_folder.h"
#include "pipelines/training/lora_training.h"
#include "pipelines/training/training_data.h"

namespace crescendo::pipelines {

// From the config of `crescendo train` to the parts of the run.

/// Throws one UserError that lists what contradicts what, before data or device is touched, and
/// fills in what follows from the rest (unet.num_class_embeds).
void check(TrainConfig& config);

/// One line: how large, and where.
std::string describe_unet(const unet::UNet2DConditionModel& unet, at::Device device);

/// The folder of the cache that data.shards are of, or nothing.
std::filesystem::path cache_of(const TrainConfig& config);

/// Opens the frozen components alone; the U-Net is null.
DiffusionModel open_frozen(const TrainConfig& config, const Placement& placement);

/// Opens the frozen components and makes or opens the U-Net, on `device`. Throws UserError where
/// they do not fit each other, or not the cache that the data are.
DiffusionModel build_model(const TrainConfig& config, at::Device device);

/// The LoRA that [lora] asks for, on `unet`, which is frozen then; null where it asks for none.
/// Throws UserError for targets that `unet` does not have.
std::unique_ptr<LoraTraining> build_lora(const TrainConfig& config,
                                         unet::UNet2DConditionModel unet);

/// What a sample must have, by the conditioning; classes are below `num_classes`, 0: any.
dataloader::Need need_of(const TrainConfig& config, std::int64_t num_classes);

/// The share of the data from `start` on, streamed or cached as the config says.
std::unique_ptr<TrainingData> open_training_data(const TrainConfig& config,
                                                 const DiffusionModel& model,
                                                 Conditioner& conditioner, at::Device device,
                                                 const dataloader::Position& start,
                                                 const dataloader::Ranks& ranks = {});

/// The pictures of a sample grid, of the run's seed; none when [sample] wants none. Throws
/// UserError for a class that is not there.
std::vector<ImageRequest> sample_requests(const TrainConfig& config, const DiffusionModel& model);

/// How they are drawn.
GenerationOptions sample_generation_options(const TrainConfig& config);

}  // namespace crescendo::pipelines
