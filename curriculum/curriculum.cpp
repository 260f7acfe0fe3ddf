#include "curriculum/curriculum.h"

#include <algorithm>
#include <stdexcept>

#include "core/error.h"

namespace crescendo::curriculum {

namespace {

/// The first timestep of each cluster and the number of timesteps: what identifies a clustering.
std::vector<std::int64_t> edges_of(std::span<const Cluster> clusters) {
  std::vector<std::int64_t> edges;
  for (const Cluster& cluster : clusters) edges.push_back(cluster.begin);
  edges.push_back(clusters.back().end);
  return edges;
}

/// Places of the clusters, of which 0 is the hardest, in the order of their stages.
std::vector<std::size_t> order_of(const CurriculumOptions& options, std::size_t clusters,
                                  std::uint64_t seed) {
  const std::string& name = options.order;
  std::vector<std::size_t> order;
  if (const auto only = options.only_cluster) {
    if (!options.enabled || *only < 1 || *only > static_cast<std::int64_t>(clusters)) {
      throw UserError(
          "curriculum.only_cluster: expected 1 to {}, with curriculum.enabled = true, found {}",
          clusters, *only);
    }
    return {static_cast<std::size_t>(*only - 1)};
  }
  const RandomPermutation random(clusters, seed, Purpose::kClusterOrder, 0);
  for (std::size_t i = 0; i < clusters; ++i) {
    if (name == "easy_to_hard") {
      order.push_back(clusters - 1 - i);
    } else if (name == "hard_to_easy") {
      order.push_back(i);
    } else if (name == "random") {
      order.push_back(random[i]);
    } else {
      throw UserError(
          "curriculum.order: expected one of easy_to_hard, hard_to_easy, random, found \"{}\"",
          name);
    }
  }
  return order;
}

}  // namespace

std::vector<Field> fields(CurriculumOptions& o) {
  return {
      {"enabled", &o.enabled, "train from high noise to all timesteps, stage by stage"},
      {.name = "order",
       .value = &o.order,
       .doc = "in which the clusters come; easy is high noise",
       .choices = {"easy_to_hard", "hard_to_easy", "random"}},
      {"accumulate", &o.accumulate,
       "keep the clusters of earlier stages; false: one at a time, and all in a last stage"},
      {"only_cluster", &o.only_cluster,
       "train on this cluster alone; 1 has the least noise. For studies", 1},
      {"clusters", &o.clustering.clusters, "number of clusters, N; unused by clustering = \"list\"",
       1},
      {.name = "clustering",
       .value = &o.clustering.method,
       .doc = "how noise levels are split into clusters; quantile for edm and flow_matching",
       .choices = {"uniform", "log_snr", "snr", "quantile", "list"}},
      {"boundaries", &o.clustering.boundaries,
       "first timestep of each cluster, from 0; for clustering = \"list\"", 0},
  };
}

Curriculum::Curriculum(const CurriculumOptions& options, const NoiseAxis& axis, std::uint64_t seed)
    : enabled_(options.enabled),
      accumulate_(options.accumulate || options.only_cluster),
      clusters_(make_clusters(options.clustering, axis)),
      order_(order_of(options, clusters_.size(), seed)),
      pacing_(options.pacing) {
  enter(enabled_ ? 1 : stages());
}

std::int64_t Curriculum::stages() const {
  return static_cast<std::int64_t>(order_.size()) + (accumulate_ ? 0 : 1);
}

std::int64_t Curriculum::timestep(RandomStream& stream) const {
  std::int64_t count = 0;
  for (const Cluster& range : active_) count += range.size();
  auto offset = static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(count)));
  for (const Cluster& range : active_) {
    if (offset < range.size()) return range.begin + offset;
    offset -= range.size();
  }
  throw std::logic_error("curriculum: no timestep is active");
}

std::optional<Transition> Curriculum::observe(double loss) {
  if (finished()) return std::nullopt;
  const std::optional<StageEnd> reason = pacing_.observe(loss);
  if (!reason) return std::nullopt;
  const Transition transition{stage_, stage_ + 1, *reason, pacing_.steps_in_stage(),
                              pacing_.best()};
  enter(stage_ + 1);
  pacing_.restart();
  return transition;
}

void Curriculum::enter(std::int64_t stage) {
  stage_ = stage;
  const auto behind = static_cast<std::size_t>(stage - 1);
  std::vector<std::size_t> places(order_.begin(), order_.end());
  if (accumulate_) {
    places.resize(behind + 1);
  } else if (behind < order_.size()) {
    places = {order_[behind]};
  }
  std::ranges::sort(places);
  active_.clear();
  for (const std::size_t place : places) {
    const Cluster& cluster = clusters_[place];
    if (!active_.empty() && active_.back().end == cluster.begin) {
      active_.back().end = cluster.end;
    } else {
      active_.push_back(cluster);
    }
  }
}

nlohmann::json Curriculum::state() const {
  return {{"enabled", enabled_}, {"edges", edges_of(clusters_)},
          {"order", order_},     {"accumulate", accumulate_},
          {"stage", stage_},     {"pacing", pacing_.state()}};
}

void Curriculum::load_state(const nlohmann::json& state) {
  std::int64_t stage = 0;
  bool enabled = false;
  bool accumulate = false;
  std::vector<std::int64_t> edges;
  std::vector<std::size_t> order;
  Pacing pacing = pacing_;
  try {
    state.at("enabled").get_to(enabled);
    state.at("edges").get_to(edges);
    state.at("order").get_to(order);
    state.at("accumulate").get_to(accumulate);
    state.at("stage").get_to(stage);
    pacing.load_state(state.at("pacing"));
  } catch (const nlohmann::json::exception& failure) {
    throw DataError("curriculum state: malformed ({})", failure.what());
  }
  if (enabled != enabled_) {
    throw UserError(
        "curriculum.enabled: expected {}, as in the run to resume, found {}; start a new run to "
        "change it",
        enabled, enabled_);
  }
  if (edges != edges_of(clusters_)) {
    throw UserError(
        "curriculum.clustering: expected the clusters of the run to resume, with edges [{}], found "
        "[{}]; start a new run to change them",
        fmt::join(edges, ", "), fmt::join(edges_of(clusters_), ", "));
  }
  if (order != order_ || accumulate != accumulate_) {
    throw UserError(
        "curriculum.order, accumulate: expected those of the run to resume (clusters [{}], "
        "accumulate = {}), found [{}], accumulate = {}; start a new run to change them",
        fmt::join(order, ", "), accumulate, fmt::join(order_, ", "), accumulate_);
  }
  if (stage < 1 || stage > stages()) {
    throw DataError("curriculum state: stage: expected 1 to {}, found {}", stages(), stage);
  }
  enter(stage);
  pacing_ = pacing;
}

std::string describe(std::span<const Cluster> timesteps) {
  std::vector<std::string> ranges;
  for (const Cluster& range : timesteps) {
    ranges.push_back(fmt::format("{} to {}", range.begin, range.end - 1));
  }
  return fmt::format("{}", fmt::join(ranges, ", "));
}

}  // namespace crescendo::curriculum
