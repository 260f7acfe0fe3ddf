#include "pipelines/training/noise_levels.h"

#include <algorithm>

#include <fmt/format.h>

#include "curriculum/curriculum.h"
#include "diffusion/noise_schedule.h"

namespace crescendo::pipelines {

namespace {

/// The level where a place begins.
double level_at(const diffusion::NoiseProcess& process, std::int64_t place) {
  return process.quantile(static_cast<double>(place) / static_cast<double>(process.places()));
}

const char* unit_of(const diffusion::NoiseProcess& process) {
  return process.options().formulation == "edm" ? "sigma" : "t";
}

}  // namespace

curriculum::NoiseAxis noise_axis(const diffusion::NoiseProcess& process) {
  if (process.schedule() != nullptr) return {process.schedule()->snr()};
  if (!process.place_at(0)) return {process.places(), nullptr};
  return {process.places(), [&process](double share) { return process.place_at(share).value(); }};
}

std::vector<std::string> cluster_names(const diffusion::NoiseProcess& process,
                                       std::span<const curriculum::Cluster> clusters) {
  std::vector<std::string> names;
  if (process.schedule() != nullptr) return names;  // ClusterLosses has them
  for (const curriculum::Cluster& cluster : clusters) {
    names.push_back(fmt::format("{:.4f}-{:.4f}", level_at(process, cluster.begin),
                                level_at(process, cluster.end)));
  }
  return names;
}

std::string describe_levels(const diffusion::NoiseProcess& process,
                            std::span<const curriculum::Cluster> ranges) {
  if (process.schedule() != nullptr) return "timesteps " + curriculum::describe(ranges);
  std::vector<std::string> levels;
  for (const curriculum::Cluster& range : ranges) {
    levels.push_back(fmt::format("{:.4g} to {:.4g}", level_at(process, range.begin),
                                 level_at(process, range.end)));
  }
  return fmt::format("{} {}", unit_of(process), fmt::join(levels, ", "));
}

double mean_weight(const diffusion::NoiseProcess& process, const curriculum::Cluster& cluster) {
  constexpr std::int64_t kMost = 256;
  const std::int64_t count = std::min(cluster.size(), kMost);
  std::vector<std::int64_t> places;
  for (std::int64_t i = 0; i < count; ++i) {
    places.push_back(cluster.at((static_cast<double>(i) + 0.5) / static_cast<double>(count)));
  }
  return process.weights(process.levels(places)).to(at::kDouble).mean().item<double>();
}

std::string describe_clusters(const diffusion::NoiseProcess& process,
                              std::span<const curriculum::Cluster> clusters) {
  std::string table = fmt::format(
      "noise levels by cluster, from the least noise (loss_weighting = "
      "\"{}\"):\n  {:>7}  {:<28}{:>8}{:>13}",
      process.options().loss_weighting, "cluster", "levels", "draws", "mean weight");
  for (std::size_t i = 0; i < clusters.size(); ++i) {
    const double share =
        static_cast<double>(clusters[i].size()) / static_cast<double>(process.places());
    table += fmt::format("\n  {:>7}  {:<28}{:>7.2f}%{:>13.4g}", i + 1,
                         describe_levels(process, clusters.subspan(i, 1)), 100 * share,
                         mean_weight(process, clusters[i]));
  }
  return table;
}

}  // namespace crescendo::pipelines
