#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "diffusion/marginal_divergence.h"
#include "pipelines/monitoring/run_history.h"

namespace crescendo::pipelines {

/// How the loss on one cluster's noise levels fell in a training on that cluster alone.
struct Convergence {
  struct Point {
    std::int64_t step = 0;
    double loss = 0;
    double improvement = 0;  ///< (first - loss) / (first - last): 0 at the beginning, 1 at the end
  };
  std::int64_t cluster = 1;  ///< 1 has the least noise
  std::string levels;
  std::vector<Point> points;

  /// The step at which the improvement first is `share`, between two measurements in a straight
  /// line; nothing where the loss did not fall.
  std::optional<double> step_at(double share) const;
};

/// Of the run on `cluster`, whose held-out losses are told by the same clusters. Throws UserError
/// where there are fewer than two of them.
Convergence convergence_of(std::int64_t cluster, const RunHistory& history);

/// The relative entropy between the marginals of timesteps t - 1 and t.
struct Divergence {
  std::int64_t timestep = 1;
  diffusion::Estimate nats;
};

/// The observational study of Kim et al. (arXiv 2403.10348, section 3) on a model and data.
struct Observation {
  std::vector<Convergence> convergences;  ///< from the least noise
  std::vector<Divergence> divergences;    ///< by timestep; none where levels are continuous
  std::int64_t points = 0;                ///< of the data, that the marginals are mixtures of
  std::int64_t draws = 0;                 ///< of each estimate
};

/// The shares of the final improvement whose steps are told.
inline constexpr double kShares[] = {0.5, 0.9, 0.95};

/// A JSON object a line: "convergence" of each measurement, "reached" of each share, "divergence".
std::string to_json_lines(const Observation& observation);

/// A line a cluster, for the terminal.
std::string to_text(const Observation& observation);

/// The page with both plots.
std::string observation_page(const Observation& observation);

}  // namespace crescendo::pipelines
