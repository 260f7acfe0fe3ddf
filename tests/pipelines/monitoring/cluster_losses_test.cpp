#include "pipelines/monitoring/cluster_losses.h"

#include <array>
#include <cmath>
#include <map>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo::pipelines {
namespace {

constexpr std::array<curriculum::Cluster, 3> kClusters = {{{0, 50}, {50, 800}, {800, 1000}}};

using Means = std::map<std::string, double>;

void add(ClusterLosses& losses, const std::vector<std::int64_t>& timesteps,
         const std::vector<double>& values) {
  losses.add(timesteps, values);
}

TEST(ClusterLossesTest, AveragesByTheClusterOfTheTimestep) {
  ClusterLosses losses(kClusters);
  add(losses, {0, 49, 50, 999}, {1, 2, 10, 100});
  add(losses, {799, 800}, {30, 300});
  EXPECT_EQ(losses.take(), (Means{{"000-049", 1.5}, {"050-799", 20}, {"800-999", 200}}));
}

TEST(ClusterLossesTest, BeginsAnewAndLeavesOutTheEmpty) {
  ClusterLosses losses(kClusters);
  add(losses, {0}, {1});
  losses.take();
  EXPECT_TRUE(losses.take().empty());
  add(losses, {900}, {5});
  EXPECT_EQ(losses.take(), (Means{{"800-999", 5}}));
}

TEST(ClusterLossesTest, GoesOnFromACheckpoint) {
  ClusterLosses whole(kClusters);
  add(whole, {0, 1, 900}, {0.1, 0.2, 7});
  ClusterLosses resumed(kClusters);
  resumed.load_state(nlohmann::json::parse(whole.state().dump()));
  add(whole, {2}, {0.7});
  add(resumed, {2}, {0.7});
  EXPECT_EQ(resumed.take(), whole.take());
}

TEST(ClusterLossesTest, RefusesAForeignState) {
  ClusterLosses losses(kClusters);
  EXPECT_EQ(data_error_text([&] {
              losses.load_state({{0.5, 1}});
            }),
            "checkpoint state: cluster_losses: expected 3 clusters, found 1");
  EXPECT_TRUE(data_error_text([&] {
                losses.load_state({{"a", 1}, {0.5, 1}, {0.5, 1}});
              }).starts_with("checkpoint state: cluster_losses: malformed ("));
}

TEST(ClusterLossesTest, PassesOverWhatIsNotFinite) {
  ClusterLosses losses(kClusters);
  add(losses, {0, 1}, {std::nan(""), 2});
  EXPECT_EQ(losses.take(), (Means{{"000-049", 2}}));
}

}  // namespace
}  // namespace crescendo::pipelines
