#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

namespace crescendo::curriculum {

/// The timesteps [begin, end), or places of a NoiseAxis. 0 has the least noise.
struct Cluster {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t size() const { return end - begin; }

  /// The timestep or place at a share of it in [0, 1): of a uniform draw, a uniform one.
  std::int64_t at(double share) const {
    return begin + static_cast<std::int64_t>(share * static_cast<double>(size()));
  }
  bool operator==(const Cluster&) const = default;
};

/// The noise levels that clusters divide, from the least noise to the most: places 0 .. places - 1,
/// over which training draws uniformly. Timesteps, or fine quantiles of a continuous distribution.
struct NoiseAxis {
  std::int64_t places = 0;
  std::span<const double> snr{};  ///< of timesteps, strictly decreasing; empty where continuous

  /// Of continuous levels: the first place of the level at a share of their whole range. Null where
  /// that range has no end.
  std::function<std::int64_t(double share)> place_at{};

  bool is_continuous() const { return snr.empty(); }
};

/// The axis of timesteps with these signal-to-noise ratios, which it refers to.
inline NoiseAxis timestep_axis(std::span<const double> snr) {
  return {.places = static_cast<std::int64_t>(snr.size()), .snr = snr};
}

/// How noise levels are split. "uniform": equal counts of timesteps, C_i = [floor(T(i-1)/N),
/// floor(Ti/N)), or equal widths of continuous levels. "quantile", of continuous levels: equal
/// shares of the draws.
/// "log_snr", "snr": the split that minimises the sum over clusters of |s(t) - s(c)|, where s is
/// log SNR or SNR and c the cluster's middle timestep. "list": as given in `boundaries`.
struct ClusteringOptions {
  std::int64_t clusters = 20;
  std::string method = "uniform";
  std::vector<std::int64_t> boundaries{};
};

/// C_i = [floor(places(i-1)/count), floor(places i/count)).
std::vector<Cluster> equal_clusters(std::int64_t count, std::int64_t places);

/// Splits the axis into contiguous, non-empty clusters: [0] is C_1, the lowest noise and the
/// hardest, the last is C_N. Throws UserError.
std::vector<Cluster> make_clusters(const ClusteringOptions& options, const NoiseAxis& axis);

/// The index of the cluster that `place` is in; `clusters` as make_clusters() returns them.
std::size_t cluster_of(std::span<const Cluster> clusters, std::int64_t place);

}  // namespace crescendo::curriculum
