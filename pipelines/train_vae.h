#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pipelines/distributed/communicator.h"
#include "pipelines/runs/run_folder.h"

namespace crescendo::pipelines {

struct TrainVaeRequest {
  std::filesystem::path config;
  std::vector<std::string> overrides;  ///< "section.key=value"
  Resume resume;
};

/// Trains an AutoencoderKL on the images alone: reconstruction error and KL divergence. Then
/// measures, over all the data, its reconstruction (PSNR) and the scaling factor (1 / deviation of
/// the latents), which goes into the config.json of the model folder that it returns; nothing
/// when a signal ended it before, and on ranks other than 0. Throws UserError. Collective.
std::filesystem::path train_vae(const TrainVaeRequest& request, Communicator& ranks = alone());

}  // namespace crescendo::pipelines
