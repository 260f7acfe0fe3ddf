#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace crescendo::pipelines {

// Post-hoc averages of weights (Karras et al., arXiv 2312.02696, section 3): a run keeps a few
// averages whose weight over time t is a power of it, p(s) ~ s^gamma up to now, and writes
// snapshots of them; averages of any other length are combined from those afterwards. Time is
// counted in updates of the weights.

/// gamma of the profile whose standard deviation is `sigma_rel` of the time so far: the largest
/// root of (gamma + 1) / ((gamma + 2)^2 (gamma + 3)) = sigma_rel^2. sigma_rel is in (0, 0.28].
double power_of(double sigma_rel);

/// How much of the average stays at update `update`, counted from 1: (1 - 1/update)^(gamma + 1).
double power_decay_at(double gamma, std::int64_t update);

/// p(s) ~ s^gamma on [0, updates], with an integral of 1.
struct PowerProfile {
  double gamma = 0;
  double updates = 0;
};

/// The integral of the product of two profiles, in closed form.
double overlap(const PowerProfile& a, const PowerProfile& b);

/// The factors with which the profiles of `snapshots`, added up, are nearest to `wanted` in least
/// squares.
std::vector<double> combine(std::span<const PowerProfile> snapshots, const PowerProfile& wanted);

}  // namespace crescendo::pipelines
