#include "curriculum/curriculum.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <string>

#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo::curriculum {
namespace {

std::vector<double> falling_snr(int timesteps) {
  std::vector<double> snr;
  for (int t = 0; t < timesteps; ++t) snr.push_back(std::exp(5 - 0.1 * t));
  return snr;
}

Curriculum make_curriculum(PacingOptions pacing = {.patience = 2}, std::int64_t clusters = 4,
                           bool enabled = true) {
  const CurriculumOptions options{
      .enabled = enabled, .clustering = {.clusters = clusters}, .pacing = pacing};
  return Curriculum(options, timestep_axis(falling_snr(100)));
}

/// Five clusters of 20 timesteps.
Curriculum ablation(const std::string& order, bool accumulate, std::uint64_t seed = 0) {
  return {{.order = order,
           .accumulate = accumulate,
           .clustering = {.clusters = 5},
           .pacing = {.patience = 2}},
          timestep_axis(falling_snr(100)),
          seed};
}

/// The timesteps that 2000 draws bring up.
std::set<std::int64_t> drawn(const Curriculum& curriculum) {
  std::set<std::int64_t> seen;
  for (std::uint64_t position = 0; position < 2000; ++position) {
    RandomStream stream(1, Purpose::kTimestep, position);
    seen.insert(curriculum.timestep(stream));
  }
  return seen;
}

/// Observes a constant loss until the stage ends.
Transition run_stage(Curriculum& curriculum) {
  for (int step = 0; step < 1000; ++step) {
    if (const auto transition = curriculum.observe(1.0)) return *transition;
  }
  ADD_FAILURE() << "the stage does not end";
  return {};
}

TEST(CurriculumTest, StagesGrowFromTheHighestNoiseToEverything) {
  Curriculum curriculum = make_curriculum();
  for (std::int64_t stage = 1; stage <= 4; ++stage) {
    EXPECT_EQ(curriculum.stage(), stage);
    EXPECT_EQ(curriculum.active_timesteps(), (std::vector<Cluster>{{100 - 25 * stage, 100}}));
    EXPECT_EQ(curriculum.finished(), stage == 4);
    if (!curriculum.finished()) run_stage(curriculum);
  }
}

TEST(CurriculumTest, TransitionSaysWhy) {
  Curriculum patient = make_curriculum();
  const Transition first = run_stage(patient);
  EXPECT_EQ(first.from, 1);
  EXPECT_EQ(first.to, 2);
  EXPECT_EQ(first.steps_in_stage, 4);
  EXPECT_EQ(first.best_loss, 1.0);
  EXPECT_EQ(to_string(first.reason), "patience");

  Curriculum capped = make_curriculum({.max_stage_steps = 3});
  EXPECT_EQ(to_string(run_stage(capped).reason), "max_stage_steps");
  EXPECT_EQ(run_stage(capped).steps_in_stage, 3);
}

TEST(CurriculumTest, BestLossOfAStageDoesNotHoldTheNext) {
  Curriculum curriculum = make_curriculum();
  curriculum.observe(0.001);
  run_stage(curriculum);
  // Harder timesteps: higher, but falling. Judged by the last stage's best, these would wait.
  for (int step = 0; step < 50; ++step) EXPECT_FALSE(curriculum.observe(2.0 - 0.01 * step));
}

TEST(CurriculumTest, LastStageHasNoEnd) {
  Curriculum curriculum = make_curriculum();
  while (!curriculum.finished()) run_stage(curriculum);
  for (int step = 0; step < 1000; ++step) EXPECT_FALSE(curriculum.observe(1.0));
  EXPECT_EQ(curriculum.stage(), 4);
}

TEST(CurriculumTest, TwoFedTheSameLossesMoveAtTheSameStep) {
  // As two ranks do, and as one of continuous levels does beside one of timesteps.
  Curriculum one = make_curriculum({.patience = 5}, 4);
  Curriculum other = make_curriculum({.patience = 5}, 4);
  Curriculum continuous(
      {.clustering = {.clusters = 4, .method = "quantile"}, .pacing = {.patience = 5}},
      NoiseAxis{.places = std::int64_t{1} << 32});
  RandomStream losses(3, Purpose::kNoise, 0);
  int transitions = 0;
  for (int step = 0; step < 500; ++step) {
    const double loss = losses.uniform();
    const bool moved = one.observe(loss).has_value();
    transitions += moved ? 1 : 0;
    EXPECT_EQ(other.observe(loss).has_value(), moved) << step;
    EXPECT_EQ(continuous.observe(loss).has_value(), moved) << step;
  }
  EXPECT_EQ(transitions, 3);
}

TEST(CurriculumTest, NonFiniteLossDoesNotEatPatience) {
  Curriculum curriculum = make_curriculum();
  curriculum.observe(1.0);
  for (int step = 0; step < 100; ++step) EXPECT_FALSE(curriculum.observe(NAN));
  EXPECT_EQ(curriculum.stage(), 1);
}

TEST(CurriculumTest, TimestepsAreUniformOverTheActiveOnes) {
  Curriculum curriculum = make_curriculum({.patience = 2}, 20);
  run_stage(curriculum);
  constexpr int kDraws = 20000;
  std::map<std::int64_t, int> counts;
  for (std::uint64_t position = 0; position < kDraws; ++position) {
    RandomStream stream(7, Purpose::kTimestep, position);
    ++counts[curriculum.timestep(stream)];
  }
  EXPECT_EQ(counts.begin()->first, 90);
  EXPECT_EQ(counts.rbegin()->first, 99);
  for (const auto& [timestep, count] : counts) {
    EXPECT_NEAR(count, kDraws / 10, 200) << timestep;  // 4.7 standard deviations
  }
}

TEST(CurriculumTest, TimestepDependsOnTheStreamAlone) {
  const Curriculum curriculum = make_curriculum();
  RandomStream stream(7, Purpose::kTimestep, 42);
  RandomStream again(7, Purpose::kTimestep, 42);
  EXPECT_EQ(curriculum.timestep(stream), curriculum.timestep(again));
}

TEST(CurriculumTest, SwitchedOffTrainsEverythingAtOnce) {
  Curriculum curriculum = make_curriculum({.patience = 1}, 4, false);
  EXPECT_TRUE(curriculum.finished());
  EXPECT_EQ(curriculum.stage(), 4);
  for (int step = 0; step < 100; ++step) EXPECT_FALSE(curriculum.observe(1.0));
  EXPECT_EQ(drawn(curriculum).size(), 100U);
}

TEST(CurriculumTest, EveryOrderTakesEachClusterOnce) {
  for (const char* order : {"easy_to_hard", "hard_to_easy", "random"}) {
    for (const bool accumulate : {true, false}) {
      Curriculum curriculum = ablation(order, accumulate, 11);
      EXPECT_EQ(curriculum.stages(), accumulate ? 5 : 6);
      std::set<std::int64_t> before;
      std::set<std::int64_t> all;
      for (; !curriculum.finished(); run_stage(curriculum)) {
        const std::set<std::int64_t> now = drawn(curriculum);
        std::int64_t active = 0;
        for (const Cluster& range : curriculum.active_timesteps()) active += range.size();
        EXPECT_EQ(static_cast<std::int64_t>(now.size()), active);
        EXPECT_EQ(now.size(), accumulate ? before.size() + 20 : 20U) << order;
        EXPECT_EQ(std::ranges::includes(now, before), accumulate || before.empty()) << order;
        before = now;
        all.insert(now.begin(), now.end());
      }
      EXPECT_EQ(drawn(curriculum).size(), 100U) << order;
      EXPECT_EQ(all.size(), accumulate ? 80U : 100U) << order;
    }
  }
}

TEST(CurriculumTest, HardToEasyBeginsAtTheLowestNoise) {
  Curriculum curriculum = ablation("hard_to_easy", true);
  EXPECT_EQ(describe(curriculum.active_timesteps()), "0 to 19");
  run_stage(curriculum);
  EXPECT_EQ(describe(curriculum.active_timesteps()), "0 to 39");
}

TEST(CurriculumTest, RandomOrderIsAFunctionOfTheSeed) {
  const auto order = [](std::uint64_t seed) {
    Curriculum curriculum = ablation("random", false, seed);
    std::string text;
    for (; !curriculum.finished(); run_stage(curriculum)) {
      text += describe(curriculum.active_timesteps()) + ";";
    }
    return text;
  };
  std::set<std::string> orders;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    EXPECT_EQ(order(seed), order(seed));
    orders.insert(order(seed));
  }
  EXPECT_GT(orders.size(), 10U);  // of 120
}

TEST(CurriculumTest, DrawsAreUniformOverRangesThatDoNotTouch) {
  std::uint64_t seed = 0;
  Curriculum curriculum = ablation("random", true, seed);
  run_stage(curriculum);
  while (curriculum.active_timesteps().size() < 2) {
    curriculum = ablation("random", true, ++seed);
    run_stage(curriculum);
  }
  constexpr int kDraws = 40'000;
  std::map<std::int64_t, int> counts;
  for (std::uint64_t position = 0; position < kDraws; ++position) {
    RandomStream stream(7, Purpose::kTimestep, position);
    ++counts[curriculum.timestep(stream)];
  }
  double chi_squared = 0;
  for (const auto& [timestep, count] : counts) {
    chi_squared += std::pow(count - kDraws / 40.0, 2) / (kDraws / 40.0);
  }
  EXPECT_EQ(counts.size(), 40U);
  EXPECT_LT(chi_squared, 72.1);  // 39 degrees of freedom, p = 0.001
}

TEST(CurriculumTest, StateOfAnotherOrderIsRefused) {
  Curriculum curriculum = ablation("easy_to_hard", true);
  const std::string message =
      error_text([&] { curriculum.load_state(ablation("hard_to_easy", true).state()); });
  EXPECT_EQ(message,
            "curriculum.order, accumulate: expected those of the run to resume (clusters [0, 1, 2, "
            "3, 4], accumulate = true), found [4, 3, 2, 1, 0], accumulate = true; start a new run "
            "to change them");
  EXPECT_NE(error_text([&] { curriculum.load_state(ablation("easy_to_hard", false).state()); }),
            "");
}

TEST(CurriculumTest, UnknownOrderIsNamed) {
  EXPECT_EQ(error_text([] { ablation("sideways", true); }),
            "curriculum.order: expected one of easy_to_hard, hard_to_easy, random, found "
            "\"sideways\"");
}

TEST(CurriculumTest, ResumedAtAnyStepPacesIdentically) {
  const PacingOptions pacing{.patience = 3, .ema = 0.8};
  const auto loss = [](int step) { return 1 + 0.3 * std::sin(37.0 * step); };
  for (int stop = 0; stop < 40; ++stop) {
    Curriculum whole = make_curriculum(pacing);
    for (int step = 0; step < stop; ++step) whole.observe(loss(step));
    Curriculum resumed = make_curriculum(pacing);
    resumed.load_state(nlohmann::json::parse(whole.state().dump()));
    for (int step = stop; step < stop + 60; ++step) {
      ASSERT_EQ(resumed.observe(loss(step)).has_value(), whole.observe(loss(step)).has_value());
      ASSERT_EQ(resumed.state(), whole.state()) << "stopped at " << stop << ", step " << step;
    }
  }
}

TEST(CurriculumTest, StateOfOtherClustersIsRefused) {
  Curriculum curriculum = make_curriculum({}, 2);
  const nlohmann::json other = make_curriculum({}, 4).state();
  EXPECT_EQ(error_text([&] { curriculum.load_state(other); }),
            "curriculum.clustering: expected the clusters of the run to resume, with edges "
            "[0, 25, 50, 75, 100], found [0, 50, 100]; start a new run to change them");
  EXPECT_EQ(curriculum.stage(), 1);
}

TEST(CurriculumTest, StateOfARunSwitchedOffIsRefused) {
  Curriculum curriculum = make_curriculum();
  const nlohmann::json off = make_curriculum({}, 4, false).state();
  EXPECT_EQ(error_text([&] { curriculum.load_state(off); }),
            "curriculum.enabled: expected false, as in the run to resume, found true; start a new "
            "run to change it");
}

TEST(CurriculumTest, MalformedStateChangesNothing) {
  Curriculum curriculum = make_curriculum();
  curriculum.observe(1.0);
  const nlohmann::json good = curriculum.state();
  const auto expect_refused = [&](const nlohmann::json& state) {
    EXPECT_TRUE(
        data_error_text([&] { curriculum.load_state(state); }).starts_with("curriculum state: "));
    EXPECT_EQ(curriculum.state(), good);
  };
  expect_refused(nullptr);
  for (const char* key : {"enabled", "edges", "order", "accumulate", "stage", "pacing"}) {
    nlohmann::json state = good;
    state.erase(key);
    expect_refused(state);
  }
  for (const int stage : {0, 5}) {
    nlohmann::json state = good;
    state["stage"] = stage;
    expect_refused(state);
  }
}

TEST(CurriculumTest, FieldsReadATable) {
  CurriculumOptions options;
  const auto errors = assign_fields(
      fields(options), {{"enabled", false}, {"clustering", "list"}, {"boundaries", {0, 50}}});
  EXPECT_TRUE(errors.empty());
  EXPECT_FALSE(options.enabled);
  EXPECT_EQ(options.clustering.method, "list");
  EXPECT_EQ(options.clustering.boundaries, (std::vector<std::int64_t>{0, 50}));
  EXPECT_EQ(assign_fields(fields(options), {{"clustering", "kmeans"}}).at(0).message,
            "expected one of uniform, log_snr, snr, quantile, list, found \"kmeans\"");
  EXPECT_EQ(assign_fields(fields(options), {{"cluster", 3}}).at(0).message,
            "unknown key; did you mean 'clusters'?");
}

TEST(CurriculumTest, DefaultsAreTwentyUniformClusters) {
  const CurriculumOptions options;
  EXPECT_TRUE(options.enabled);
  EXPECT_EQ(options.order, "easy_to_hard");
  EXPECT_TRUE(options.accumulate);
  EXPECT_EQ(options.clustering.clusters, 20);
  EXPECT_EQ(options.clustering.method, "uniform");
  EXPECT_EQ(options.pacing.rule, "patience");
  EXPECT_EQ(options.pacing.patience, 200);
  EXPECT_EQ(options.pacing.ema, 0);
  EXPECT_EQ(options.pacing.min_delta, 0);
  EXPECT_EQ(options.pacing.max_stage_steps, 0);
}

TEST(CurriculumTest, OfOneClusterAloneHasOneStage) {
  const auto only = [](std::int64_t cluster, bool enabled = true) {
    return Curriculum({.enabled = enabled,
                       .accumulate = false,
                       .only_cluster = cluster,
                       .clustering = {.clusters = 5},
                       .pacing = {.patience = 1}},
                      timestep_axis(falling_snr(100)));
  };
  Curriculum curriculum = only(2);
  EXPECT_EQ(curriculum.stages(), 1);
  EXPECT_TRUE(curriculum.finished());
  EXPECT_EQ(curriculum.active_timesteps(), (std::vector<Cluster>{{20, 40}}));
  EXPECT_FALSE(curriculum.observe(1).has_value());
  Curriculum other = only(3);
  EXPECT_NE(error_text([&] { other.load_state(curriculum.state()); }), "");
  EXPECT_EQ(error_text([&] { only(6); }),
            "curriculum.only_cluster: expected 1 to 5, with curriculum.enabled = true, found 6");
  EXPECT_EQ(error_text([&] { only(1, false); }),
            "curriculum.only_cluster: expected 1 to 5, with curriculum.enabled = true, found 1");
}

}  // namespace
}  // namespace crescendo::curriculum
