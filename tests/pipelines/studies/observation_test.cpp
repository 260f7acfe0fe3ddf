#include "pipelines/studies/observation.h"

#include <cmath>

#include <gtest/gtest.h>

#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/pipelines/studies/recorded_runs.h"

namespace crescendo::pipelines {
namespace {

/// Held-out losses after 0, 10, 20 ... steps; of cluster 1 they are 0.5 higher, of 2 0.5 lower.
RunHistory history(const std::vector<double>& losses) {
  const TemporaryFolder folder;
  return read_history(record_run(folder / "run", "", losses) / "metrics.jsonl");
}

TEST(ObservationTest, ImprovementGoesFromNothingToAllOfIt) {
  const Convergence found = convergence_of(2, history({4.5, 2.5, 1.5, 0.5}));
  EXPECT_EQ(found.levels, "5-9");
  ASSERT_EQ(found.points.size(), 4);
  EXPECT_EQ(found.points[0].loss, 4);
  EXPECT_EQ(found.points[0].improvement, 0);
  EXPECT_EQ(found.points[1].improvement, 0.5);
  EXPECT_EQ(found.points[3].improvement, 1);
  EXPECT_EQ(convergence_of(1, history({4.5, 2.5})).points[0].loss, 5);
}

TEST(ObservationTest, TellsTheStepOfAShareBetweenTwoMeasurements) {
  const Convergence found = convergence_of(1, history({4, 2, 1, 0}));
  EXPECT_EQ(found.step_at(0), 0);
  EXPECT_EQ(found.step_at(0.25), 5);
  EXPECT_EQ(found.step_at(0.5), 10);
  EXPECT_EQ(found.step_at(0.875), 25);
  EXPECT_EQ(found.step_at(1), 30);
}

TEST(ObservationTest, ALossThatDoesNotFallReachesNothing) {
  const Convergence found = convergence_of(1, history({1, 2}));
  EXPECT_TRUE(std::isnan(found.points[1].improvement));
  EXPECT_EQ(found.step_at(0.5), std::nullopt);
  Observation observation;
  observation.convergences = {found};
  EXPECT_NE(to_text(observation).find("50% never"), std::string::npos) << to_text(observation);
  EXPECT_NE(to_json_lines(observation).find("\"share\":0.5,\"step\":null"), std::string::npos);
  EXPECT_EQ(observation_page(observation).find("nan"), std::string::npos);
}

TEST(ObservationTest, RefusesTooFewLosses) {
  EXPECT_NE(error_text([] { convergence_of(1, history({4})); }).find("found 1; a smaller"),
            std::string::npos);
  EXPECT_NE(error_text([] {
              convergence_of(3, history({4, 2}));
            }).find("those of 2 clusters"),
            std::string::npos);
}

TEST(ObservationTest, ThePageShowsBothPlots) {
  Observation observation{.convergences = {convergence_of(1, history({4, 2, 1})),
                                           convergence_of(2, history({4, 1, 1}))},
                          .divergences = {{1, {0.5, 0.01}}, {10, {0.1, 0.01}}},
                          .points = 100,
                          .draws = 7};
  const std::string page = observation_page(observation);
  EXPECT_EQ(page.find("http"), std::string::npos);
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_NE(page.find("around 100 latents of the data; a Monte Carlo mean over 7 draws"),
            std::string::npos);
  std::size_t curves = 0;
  for (std::size_t at = 0; (at = page.find("class=\"curve\"", at)) != std::string::npos; ++at) {
    ++curves;
  }
  EXPECT_EQ(curves, 3 * 2 + 1);
}

}  // namespace
}  // namespace crescendo::pipelines
