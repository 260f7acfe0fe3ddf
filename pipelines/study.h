#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

namespace crescendo::pipelines {

struct StudyRequest {
  std::filesystem::path config;
  std::vector<std::string> overrides;  ///< "section.key=value"
  std::filesystem::path page;          ///< HTML to write; empty: none
  std::filesystem::path json;          ///< JSON lines to write; empty: none
  std::int64_t data_points = 1000;     ///< latents that the marginals are mixtures of
  std::int64_t draws = 256;            ///< of each relative entropy
  std::int64_t timesteps = 50;         ///< at which it is estimated, evenly
};

/// The observational study of Kim et al. (arXiv 2403.10348) as one command: trains a model on each
/// cluster of the config alone, train.max_train_steps each, in run.output_dir/cluster-NN, and
/// estimates the relative entropy between consecutive marginals on the data. Called again it goes
/// on where it was. Returns a line a cluster; nothing when a signal ended it before. Throws
/// UserError.
std::string study(const StudyRequest& request);

}  // namespace crescendo::pipelines
