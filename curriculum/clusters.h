#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <utility>
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
  /// Timesteps of these signal-to-noise ratios, strictly decreasing.
  NoiseAxis(std::span<const double> snr_of_timesteps)
      : places(static_cast<std::int64_t>(snr_of_timesteps.size())), snr(snr_of_timesteps) {}
  NoiseAxis(const std::vector<double>& snr_of_timesteps)
      : NoiseAxis(std::span<const double>(snr_of_timesteps)) {}

  /// Continuous levels. `first_place` tells where the level at a share of their whole range begins;
  /// null where that range has no end.
  NoiseAxis(std::int64_t count, std::function<std::int64_t(double share)> first_place)
      : places(count), place_at(std::move(first_place)) {}

  bool is_continuous() const { return snr.empty(); }

  std::int64_t places;
  std::span<const double> snr{};
  std::function<std::int64_t(double)> place_at{};
};

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

/// Splits the axis into contiguous, non-empty clusters: [0] is C_1, the lowest noise and the
/// hardest, the last is C_N. Throws UserError.
std::vector<Cluster> make_clusters(const ClusteringOptions& options, const NoiseAxis& axis);

/// The index of the cluster that `place` is in; `clusters` as make_clusters() returns them.
std::size_t cluster_of(std::span<const Cluster> clusters, std::int64_t place);

}  // namespace crescendo::curriculum
