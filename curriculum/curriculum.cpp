#include "curriculum/curriculum.h"

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

}  // namespace

std::vector<Field> fields(CurriculumOptions& o) {
  return {
      {"enabled", &o.enabled, "train from high noise to all timesteps, stage by stage"},
      {"clusters", &o.clustering.clusters, "number of clusters, N; unused by clustering = \"list\"",
       1},
      {.name = "clustering",
       .value = &o.clustering.method,
       .doc = "how timesteps are split into clusters",
       .choices = {"uniform", "log_snr", "snr", "list"}},
      {"boundaries", &o.clustering.boundaries,
       "first timestep of each cluster, from 0; for clustering = \"list\"", 0},
  };
}

Curriculum::Curriculum(const CurriculumOptions& options, std::span<const double> snr)
    : enabled_(options.enabled),
      clusters_(make_clusters(options.clustering, snr)),
      pacing_(options.pacing),
      stage_(enabled_ ? 1 : stages()) {}

std::int64_t Curriculum::timestep(RandomStream& stream) const {
  const Cluster active = active_timesteps();
  return active.begin +
         static_cast<std::int64_t>(stream.below(static_cast<std::uint64_t>(active.size())));
}

std::optional<Transition> Curriculum::observe(double loss) {
  if (finished()) return std::nullopt;
  const std::optional<StageEnd> reason = pacing_.observe(loss);
  if (!reason) return std::nullopt;
  const Transition transition{stage_, stage_ + 1, *reason, pacing_.steps_in_stage(),
                              pacing_.best()};
  ++stage_;
  pacing_.restart();
  return transition;
}

Cluster Curriculum::active_timesteps() const {
  return {clusters_[static_cast<std::size_t>(stages() - stage_)].begin, clusters_.back().end};
}

nlohmann::json Curriculum::state() const {
  return {{"enabled", enabled_},
          {"edges", edges_of(clusters_)},
          {"stage", stage_},
          {"pacing", pacing_.state()}};
}

void Curriculum::load_state(const nlohmann::json& state) {
  std::int64_t stage = 0;
  bool enabled = false;
  std::vector<std::int64_t> edges;
  Pacing pacing = pacing_;
  try {
    state.at("enabled").get_to(enabled);
    state.at("edges").get_to(edges);
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
  if (stage < 1 || stage > stages()) {
    throw DataError("curriculum state: stage: expected 1 to {}, found {}", stages(), stage);
  }
  stage_ = stage;
  pacing_ = pacing;
}

}  // namespace crescendo::curriculum
