#pragma once

#include <span>
#include <string>
#include <vector>

#include "curriculum/clusters.h"
#include "diffusion/noise_process.h"

namespace crescendo::pipelines {

// Where the noise levels of diffusion/ meet the clusters of curriculum/.

/// What the curriculum divides; refers to `process`.
curriculum::NoiseAxis noise_axis(const diffusion::NoiseProcess& process);

/// What the metrics call the clusters: by their timesteps, "050-099", their sigmas,
/// "0.0418-0.0647", or their times, "0.9500-1.0000"; as text they sort by their noise.
std::vector<std::string> cluster_names(const diffusion::NoiseProcess& process,
                                       std::span<const curriculum::Cluster> clusters);

/// "timesteps 0 to 49, 950 to 999", "sigma 2.168 to inf", "t 0.95 to 1".
std::string describe_levels(const diffusion::NoiseProcess& process,
                            std::span<const curriculum::Cluster> ranges);

/// The mean of NoiseProcess::weights() over a cluster, of at most 256 levels spread over it.
double mean_weight(const diffusion::NoiseProcess& process, const curriculum::Cluster& cluster);

/// A table: of each cluster its levels, its share of the draws once every cluster is active, and
/// its mean weight in the loss, which multiply.
std::string describe_clusters(const diffusion::NoiseProcess& process,
                              std::span<const curriculum::Cluster> clusters);

}  // namespace crescendo::pipelines
