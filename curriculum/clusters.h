#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

namespace crescendo::curriculum {

/// The timesteps [begin, end). Timestep 0 has the least noise.
struct Cluster {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t size() const { return end - begin; }
  bool operator==(const Cluster&) const = default;
};

/// How timesteps are split. "uniform": equal counts, C_i = [floor(T(i-1)/N), floor(Ti/N)).
/// "log_snr", "snr": the split that minimises the sum over clusters of |s(t) - s(c)|, where s is
/// log SNR or SNR and c the cluster's middle timestep. "list": as given in `boundaries`.
struct ClusteringOptions {
  std::int64_t clusters = 20;
  std::string method = "uniform";
  std::vector<std::int64_t> boundaries{};
};

/// Splits the timesteps [0, snr.size()) into contiguous, non-empty clusters: [0] is C_1, the lowest
/// noise and the hardest, the last is C_N. snr: the signal-to-noise ratio of each timestep,
/// positive and strictly decreasing (its values matter to "snr" and "log_snr" alone). Throws
/// UserError.
std::vector<Cluster> make_clusters(const ClusteringOptions& options, std::span<const double> snr);

}  // namespace crescendo::curriculum
