#include "pipelines/monitoring/cluster_losses.h"

#include <algorithm>
#include <cassert>
#include <cmath>
#include <utility>

#include "core/error.h"

namespace crescendo::pipelines {

ClusterLosses::ClusterLosses(std::span<const curriculum::Cluster> clusters)
    : clusters_(clusters.begin(), clusters.end()), sums_(clusters.size()) {}

void ClusterLosses::add(std::span<const std::int64_t> timesteps, std::span<const double> losses) {
  assert(timesteps.size() == losses.size());
  for (std::size_t i = 0; i < timesteps.size(); ++i) {
    if (!std::isfinite(losses[i])) continue;
    const auto after =
        std::ranges::upper_bound(clusters_, timesteps[i], {}, &curriculum::Cluster::begin);
    Sum& sum = sums_[static_cast<std::size_t>(after - clusters_.begin() - 1)];
    sum.losses += losses[i];
    sum.samples += 1;
  }
}

std::map<std::string, double> ClusterLosses::take() {
  std::map<std::string, double> means;
  const std::size_t digits = std::to_string(clusters_.back().end - 1).size();
  for (std::size_t i = 0; i < clusters_.size(); ++i) {
    if (sums_[i].samples == 0) continue;
    const std::string name =
        fmt::format("{:0{}}-{:0{}}", clusters_[i].begin, digits, clusters_[i].end - 1, digits);
    means[name] = sums_[i].losses / static_cast<double>(sums_[i].samples);
    sums_[i] = {};
  }
  return means;
}

nlohmann::json ClusterLosses::state() const {
  nlohmann::json state = nlohmann::json::array();
  for (const Sum& sum : sums_) state.push_back({sum.losses, sum.samples});
  return state;
}

void ClusterLosses::load_state(const nlohmann::json& state) {
  try {
    std::vector<Sum> sums;
    for (const nlohmann::json& sum : state) {
      sums.push_back({sum.at(0).get<double>(), sum.at(1).get<std::int64_t>()});
    }
    if (sums.size() != sums_.size()) {
      throw DataError("checkpoint state: cluster_losses: expected {} clusters, found {}",
                      sums_.size(), sums.size());
    }
    sums_ = std::move(sums);
  } catch (const nlohmann::json::exception& failure) {
    throw DataError("checkpoint state: cluster_losses: malformed ({})", failure.what());
  }
}

}  // namespace crescendo::pipelines
