#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "curriculum/clusters.h"

namespace crescendo::pipelines {

/// Gathers what samples lost by the cluster of their timesteps, or places of continuous levels.
class ClusterLosses {
 public:
  /// `clusters`: contiguous, from timestep 0, as Curriculum::clusters() has them. `names`: what
  /// take() calls them; by default their timesteps, the first and the last in equally many digits:
  /// "050-099".
  explicit ClusterLosses(std::span<const curriculum::Cluster> clusters,
                         std::vector<std::string> names = {});

  /// The timestep and the loss of each sample of a batch. A loss that is not finite is passed over.
  void add(std::span<const std::int64_t> timesteps, std::span<const double> losses);

  /// The mean loss since the last call, of those clusters that had samples, by name. Begins anew.
  std::map<std::string, double> take();

  /// What was added since then, for a checkpoint.
  nlohmann::json state() const;

  /// Goes on from it. Throws DataError when it is not of as many clusters, or malformed.
  void load_state(const nlohmann::json& state);

 private:
  struct Sum {
    double losses = 0;
    std::int64_t samples = 0;
  };
  std::vector<curriculum::Cluster> clusters_;
  std::vector<std::string> names_;
  std::vector<Sum> sums_;
};

}  // namespace crescendo::pipelines
