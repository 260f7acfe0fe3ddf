#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "core/fields.h"
#include "core/random.h"
#include "curriculum/clusters.h"
#include "curriculum/pacing.h"

namespace crescendo::curriculum {

/// The table [curriculum]; `pacing` is the nested [curriculum.pacing], with its own fields().
struct CurriculumOptions {
  bool enabled = true;
  std::string order = "easy_to_hard";
  bool accumulate = true;
  std::optional<std::int64_t> only_cluster{};
  ClusteringOptions clustering{};
  PacingOptions pacing{};
};

std::vector<Field> fields(CurriculumOptions& options);

/// What happened when a stage ended. Stages count from 1.
struct Transition {
  std::int64_t from = 0;
  std::int64_t to = 0;
  StageEnd reason = StageEnd::kPatience;
  std::int64_t steps_in_stage = 0;  ///< of the stage that ended
  double best_loss = 0;             ///< of the stage that ended; not comparable with other stages
};

/// The denoising-difficulty curriculum of Kim, Go, Kwon and Kim (arXiv 2403.10348): stage n of N
/// trains on C_{N-n+1} u ... u C_N, from the highest noise, which is easiest, to every timestep.
/// The last stage trains on every timestep and has no end. Switched off, it is there from the
/// start.
///
/// For ablation the clusters come in another `order` ("hard_to_easy", "random"), or, without
/// `accumulate`, one at a time; then a stage more follows, which has them all. With `only_cluster`
/// there is one stage, of that cluster.
class Curriculum {
 public:
  /// The order "random" is a function of `seed`. Throws UserError naming the field at fault.
  Curriculum(const CurriculumOptions& options, const NoiseAxis& axis, std::uint64_t seed = 0);

  /// A timestep, or a place of continuous levels, uniform over active_timesteps(). Its density, 1
  /// over their number, is multiplied by whatever weight the loss has there.
  std::int64_t timestep(RandomStream& stream) const;

  /// Tells the training loss of one step (across ranks, the all-reduced one). A loss that is not
  /// finite is not counted. Returns the transition when the step ended a stage.
  std::optional<Transition> observe(double loss);

  bool enabled() const { return enabled_; }
  std::int64_t stage() const { return stage_; }  ///< 1 .. stages()
  std::int64_t stages() const;
  bool finished() const { return stage_ == stages(); }  ///< every timestep is trained from now on

  /// The timesteps of the current stage as rising ranges that do not touch. In the paper's order it
  /// is one, which ends with the last timestep.
  const std::vector<Cluster>& active_timesteps() const { return active_; }

  /// C_1 (least noise, hardest) to C_N.
  std::span<const Cluster> clusters() const { return clusters_; }
  const Pacing& pacing() const { return pacing_; }

  nlohmann::json state() const;

  /// Goes on from `state`, bit for bit. Throws UserError when it is of other clusters or of a run
  /// with the curriculum switched the other way, DataError when it is malformed.
  void load_state(const nlohmann::json& state);

 private:
  void enter(std::int64_t stage);

  bool enabled_;
  bool accumulate_;
  std::vector<Cluster> clusters_;
  std::vector<std::size_t> order_;  ///< places in clusters_, the first stage's first
  Pacing pacing_;
  std::int64_t stage_ = 1;
  std::vector<Cluster> active_;
};

/// "950 to 999", "0 to 49, 950 to 999".
std::string describe(std::span<const Cluster> timesteps);

}  // namespace crescendo::curriculum
