#include "curriculum/clusters.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <functional>
#include <limits>
#include <utility>

#include "core/error.h"

namespace crescendo::curriculum {

namespace {

/// A cluster's middle timestep: (first + last + 1) / 2, halves to even. Of a single odd timestep
/// that would be the next cluster's.
std::size_t middle(std::size_t begin, std::size_t end) {
  const std::size_t sum = begin + end;
  const std::size_t half = sum / 2;
  const bool round_up = sum % 2 == 1 && half % 2 == 1;
  return std::min(half + (round_up ? 1 : 0), end - 1);
}

/// Sum of |s(t) - s(middle)| over [begin, end) for a decreasing s, in constant time.
class ClusterCost {
 public:
  explicit ClusterCost(std::span<const double> values)
      : values_(values), suffix_sum_(values.size() + 1) {
    // From the end: SNR is tiny there, and differences of large sums would drown it.
    for (std::size_t t = values.size(); t-- > 0;) suffix_sum_[t] = suffix_sum_[t + 1] + values[t];
  }

  double operator()(std::size_t begin, std::size_t end) const {
    const std::size_t center = middle(begin, end);
    const double value = values_[center];
    const double above =
        suffix_sum_[begin] - suffix_sum_[center] - static_cast<double>(center - begin) * value;
    const double below =
        static_cast<double>(end - center) * value - (suffix_sum_[center] - suffix_sum_[end]);
    return above + below;
  }

 private:
  std::span<const double> values_;
  std::vector<double> suffix_sum_;
};

std::vector<Cluster> clusters_from_begins(std::span<const std::int64_t> begins,
                                          std::int64_t timesteps) {
  std::vector<Cluster> clusters;
  for (std::size_t i = 0; i < begins.size(); ++i) {
    clusters.push_back({begins[i], i + 1 < begins.size() ? begins[i + 1] : timesteps});
  }
  return clusters;
}

/// Exact dynamic programme, O(count * T^2): the cheapest split of [0, end) into n clusters is one
/// of [0, begin) into n - 1 and the cluster [begin, end).
std::vector<Cluster> cheapest_clusters(std::size_t count, std::span<const double> values) {
  const std::size_t timesteps = values.size();
  const ClusterCost cost(values);
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  std::vector<double> cheapest(timesteps + 1, kInfinity);
  cheapest[0] = 0;
  std::vector<std::vector<std::size_t>> last_begin(count, std::vector<std::size_t>(timesteps + 1));
  for (std::size_t n = 0; n < count; ++n) {
    std::vector<double> next(timesteps + 1, kInfinity);
    for (std::size_t end = n + 1; end <= timesteps; ++end) {
      for (std::size_t begin = n; begin < end; ++begin) {
        const double total = cheapest[begin] + cost(begin, end);
        if (total >= next[end]) continue;
        next[end] = total;
        last_begin[n][end] = begin;
      }
    }
    cheapest = std::move(next);
  }
  std::vector<std::int64_t> begins(count);
  std::size_t end = timesteps;
  for (std::size_t n = count; n-- > 0;) {
    end = last_begin[n][end];
    begins[n] = static_cast<std::int64_t>(end);
  }
  return clusters_from_begins(begins, static_cast<std::int64_t>(timesteps));
}

std::vector<Cluster> listed_clusters(std::span<const std::int64_t> begins, std::int64_t timesteps) {
  const bool ascending = std::ranges::adjacent_find(begins, std::greater_equal<>()) == begins.end();
  if (begins.empty() || begins.front() != 0 || !ascending || begins.back() >= timesteps) {
    throw UserError(
        "curriculum.boundaries: expected the first timestep of each cluster, rising from 0 to at "
        "most {}, found [{}]",
        timesteps - 1, fmt::join(begins, ", "));
  }
  return clusters_from_begins(begins, timesteps);
}

void check_decreasing(std::span<const double> snr, const std::string& method) {
  // Not less_equal, which a NaN would pass.
  const auto rises = [](double value, double next) { return !(value > next); };
  const bool decreasing = std::ranges::adjacent_find(snr, rises) == snr.end();
  if (decreasing && std::isfinite(snr.front()) && snr.back() > 0) return;
  throw UserError(
      "curriculum.clustering: '{}' needs a signal-to-noise ratio that is finite, positive and "
      "falls with every timestep; choose another noise schedule, or clustering = \"uniform\"",
      method);
}

void check_count(std::int64_t count, std::int64_t most, const char* what = "") {
  if (count >= 1 && count <= most) return;
  throw UserError("curriculum.clusters: expected between 1 and {}{}, found {}", most, what, count);
}

/// Boundaries at equal shares of the range of levels.
std::vector<Cluster> even_clusters(std::int64_t count, const NoiseAxis& axis) {
  if (!axis.place_at) {
    throw UserError(
        "curriculum.clustering: expected \"quantile\", because the noise levels of this "
        "diffusion.formulation have no greatest, found \"uniform\"");
  }
  std::vector<Cluster> clusters;
  for (std::int64_t i = 0; i < count; ++i) {
    const auto edge = [&](std::int64_t of) {
      return axis.place_at(static_cast<double>(of) / static_cast<double>(count));
    };
    clusters.push_back({edge(i), edge(i + 1)});
    if (clusters.back().size() > 0) continue;
    throw UserError(
        "curriculum.clusters: with clustering = \"uniform\" cluster {} of {} is never drawn in "
        "training; expected fewer clusters, or clustering = \"quantile\"",
        i + 1, count);
  }
  return clusters;
}

std::vector<Cluster> continuous_clusters(const ClusteringOptions& options, const NoiseAxis& axis) {
  // As many as of the usual timesteps; more are each drawn too seldom to tell their loss.
  constexpr std::int64_t kMost = 1000;
  check_count(options.clusters, kMost);
  if (options.method == "uniform") return even_clusters(options.clusters, axis);
  if (options.method == "quantile") return equal_clusters(options.clusters, axis.places);
  throw UserError(
      "curriculum.clustering: expected \"uniform\" or \"quantile\" with continuous noise levels "
      "(diffusion.formulation), found \"{}\"",
      options.method);
}

}  // namespace

std::vector<Cluster> equal_clusters(std::int64_t count, std::int64_t places) {
  std::vector<Cluster> clusters;
  std::int64_t begin = 0;
  for (std::int64_t i = 1; i <= count; ++i) {
    const std::int64_t end = places / count * i + places % count * i / count;  // places i overflows
    clusters.push_back({std::exchange(begin, end), end});
  }
  return clusters;
}

std::vector<Cluster> make_clusters(const ClusteringOptions& options, const NoiseAxis& axis) {
  if (options.method != "list" && !options.boundaries.empty()) {
    throw UserError(R"(curriculum.boundaries: used by clustering = "list" alone, found "{}")",
                    options.method);
  }
  if (axis.is_continuous()) return continuous_clusters(options, axis);
  if (options.method == "list") return listed_clusters(options.boundaries, axis.places);
  check_count(options.clusters, axis.places, " (the number of timesteps)");
  if (options.method == "uniform") return equal_clusters(options.clusters, axis.places);
  if (options.method == "quantile") {
    throw UserError(
        "curriculum.clustering: \"quantile\" divides continuous noise levels; expected one of "
        "uniform, log_snr, snr, list with diffusion.formulation = \"discrete\"");
  }
  if (options.method != "snr" && options.method != "log_snr") {
    throw UserError(
        "curriculum.clustering: expected one of uniform, log_snr, snr, quantile, list, found "
        "\"{}\"",
        options.method);
  }
  check_decreasing(axis.snr, options.method);
  std::vector<double> values(axis.snr.begin(), axis.snr.end());
  if (options.method == "log_snr") {
    std::ranges::transform(axis.snr, values.begin(), [](double value) { return std::log(value); });
  }
  return cheapest_clusters(static_cast<std::size_t>(options.clusters), values);
}

std::size_t cluster_of(std::span<const Cluster> clusters, std::int64_t place) {
  const auto after = std::ranges::upper_bound(clusters, place, {}, &Cluster::begin);
  return static_cast<std::size_t>(after - clusters.begin() - 1);
}

}  // namespace crescendo::curriculum
