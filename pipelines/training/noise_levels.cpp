#include "pipelines/training/noise_levels.h"

#include <algorithm>
#include <cmath>

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
  if (process.schedule() != nullptr) return curriculum::timestep_axis(process.schedule()->snr());
  curriculum::NoiseAxis axis{.places = process.places()};
  if (process.place_at(0)) {
    axis.place_at = [&process](double share) { return process.place_at(share).value(); };
  }
  return axis;
}

std::vector<std::string> cluster_names(const diffusion::NoiseProcess& process,
                                       std::span<const curriculum::Cluster> clusters) {
  std::vector<std::string> names;
  if (process.schedule() != nullptr) return names;  // ClusterLosses has them
  // In as many digits as where the last begins has, so that they sort by their noise.
  const std::size_t width =
      clusters.empty() ? 0
                       : fmt::formatted_size("{:.4f}", level_at(process, clusters.back().begin));
  const auto name = [&](std::int64_t place) {
    const double level = level_at(process, place);
    return std::isfinite(level) ? fmt::format("{:0{}.4f}", level, width) : "inf";
  };
  for (const curriculum::Cluster& cluster : clusters)
    names.push_back(name(cluster.begin) + "-" + name(cluster.end));
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
