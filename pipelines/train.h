#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "pipelines/distributed/communicator.h"
#include "pipelines/runs/run_folder.h"

namespace crescendo::pipelines {

struct TrainRequest {
  std::filesystem::path config;
  std::vector<std::string> overrides;  ///< "section.key=value"
  Resume resume;
  bool dry_run = false;  ///< two steps, of which nothing is written
};

/// Trains the latent U-Net as the config says: the curriculum chooses timesteps, the frozen
/// autoencoder and text encoder make latents and context. A resumed run equals an uninterrupted one
/// bit for bit on the CPU. Ends with the model folder of the averaged weights, or the file of the
/// averaged LoRA in it, whose path it returns on rank 0; nothing on the others, and when a signal
/// ended it before. Throws UserError. Collective.
std::filesystem::path train(const TrainRequest& request, Communicator& ranks = alone());

}  // namespace crescendo::pipelines
