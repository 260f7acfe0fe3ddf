#include "pipelines/studies/observation.h"

#include <algorithm>
#include <cmath>
#include <iterator>

#include "core/error.h"

namespace crescendo::pipelines {

using Json = nlohmann::ordered_json;

std::optional<double> Convergence::step_at(double share) const {
  for (std::size_t i = 0; i < points.size(); ++i) {
    if (!(points[i].improvement >= share)) continue;
    if (i == 0) return static_cast<double>(points[0].step);
    const Point& before = points[i - 1];
    const double part = (share - before.improvement) / (points[i].improvement - before.improvement);
    return static_cast<double>(before.step) +
           part * static_cast<double>(points[i].step - before.step);
  }
  return std::nullopt;
}

Convergence convergence_of(std::int64_t cluster, const RunHistory& history) {
  const std::vector<HeldOutLoss>& losses = history.held_out();
  if (losses.size() < 2) {
    throw UserError(
        "cluster {}: expected at least two held-out losses, found {}; a smaller validation.every, "
        "or a larger train.max_train_steps, makes more",
        cluster, losses.size());
  }
  const auto of_cluster = [&](const HeldOutLoss& loss) {
    if (std::ssize(loss.clusters) < cluster) {
      throw UserError("cluster {}: expected its held-out loss, found those of {} clusters", cluster,
                      loss.clusters.size());
    }
    return std::next(loss.clusters.begin(), cluster - 1);
  };
  Convergence made{cluster, of_cluster(losses[0])->first, {}};
  const double first = of_cluster(losses.front())->second;
  const double fall = first - of_cluster(losses.back())->second;
  for (const HeldOutLoss& loss : losses) {
    const double value = of_cluster(loss)->second;
    made.points.push_back({loss.step, value, fall > 0 ? (first - value) / fall : std::nan("")});
  }
  return made;
}

std::string to_json_lines(const Observation& observation) {
  std::string lines;
  const auto add = [&lines](const Json& line) { lines += line.dump() + "\n"; };
  for (const Convergence& one : observation.convergences) {
    for (const Convergence::Point& point : one.points) {
      add({{"kind", "convergence"},
           {"cluster", one.cluster},
           {"levels", one.levels},
           {"step", point.step},
           {"loss", point.loss},
           {"improvement", point.improvement}});
    }
    for (const double share : kShares) {
      const std::optional<double> step = one.step_at(share);
      add({{"kind", "reached"},
           {"cluster", one.cluster},
           {"levels", one.levels},
           {"share", share},
           {"step", step ? Json(*step) : Json()}});
    }
  }
  for (const Divergence& one : observation.divergences) {
    add({{"kind", "divergence"},
         {"timestep", one.timestep},
         {"nats", one.nats.mean},
         {"standard_error", one.nats.standard_error},
         {"data_points", observation.points},
         {"draws", observation.draws}});
  }
  return lines;
}

std::string to_text(const Observation& observation) {
  std::string text = "steps to a share of the final improvement, by cluster from the least noise\n";
  for (const Convergence& one : observation.convergences) {
    text += fmt::format("  {:>3} ({}):", one.cluster, one.levels);
    for (const double share : kShares) {
      const std::optional<double> step = one.step_at(share);
      text +=
          fmt::format("  {:.0f}% {}", 100 * share, step ? fmt::format("{:.0f}", *step) : "never");
    }
    text += "\n";
  }
  return text;
}

}  // namespace crescendo::pipelines
