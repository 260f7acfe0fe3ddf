#include "pipelines/monitoring/cluster_losses.h"

#include <cassert>
#include <cmath>
#include <utility>

#include "core/error.h"

namespace crescendo::pipelines {

namespace {

std::vector<std::string> names_by_timestep(std::span<const curriculum::Cluster> clusters) {
  std::vector<std::string> names;
  const std::size_t digits = std::to_string(clusters.back().end - 1).size();
  for (const curriculum::Cluster& cluster : clusters) {
    names.push_back(fmt::format("{:0{}}-{:0{}}", cluster.begin, digits, cluster.end - 1, digits));
  }
  return names;
}

}  // namespace

ClusterLosses::ClusterLosses(std::span<const curriculum::Cluster> clusters,
                             std::vector<std::string> names)
    : clusters_(clusters.begin(), clusters.end()),
      names_(names.empty() ? names_by_timestep(clusters) : std::move(names)),
      sums_(clusters.size()) {}

void ClusterLosses::add(std::span<const std::int64_t> timesteps, std::span<const double> losses) {
  assert(timesteps.size() == losses.size());
  for (std::size_t i = 0; i < timesteps.size(); ++i) {
    if (!std::isfinite(losses[i])) continue;
    Sum& sum = sums_[curriculum::cluster_of(clusters_, timesteps[i])];
    sum.losses += losses[i];
    sum.samples += 1;
  }
}

std::map<std::string, double> ClusterLosses::take() {
  std::map<std::string, double> means;
  for (std::size_t i = 0; i < sums_.size(); ++i) {
    if (sums_[i].samples == 0) continue;
    means[names_[i]] = sums_[i].losses / static_cast<double>(sums_[i].samples);
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
