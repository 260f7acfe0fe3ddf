#include "pipelines/cluster_losses.h"

#include <array>
#include <cmath>

#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo::pipelines {
namespace {

constexpr std::array<curriculum::Cluster, 3> kClusters = {{{0, 50}, {50, 800}, {800, 1000}}};

void add(ClusterLosses& losses, const std::vector<std::int64_t>& timesteps,
         const std::vector<double>& values) {
  losses.add(timesteps, values);
}

TEST(ClusterLossesTest, AveragesByTheClusterOfTheTimestep) {
  ClusterLosses losses(kClusters);
  add(losses, {0, 49, 50, 999}, {1, 2, 10, 100});
  add(losses, {799, 800}, {30, 300});
  const auto means = losses.take();
  ASSERT_EQ(means.size(), 3);
  EXPECT_EQ(means[0].name, "000-049");
  EXPECT_EQ(means[0].mean, 1.5);
  EXPECT_EQ(means[0].samples, 2);
  EXPECT_EQ(means[1].name, "050-799");
  EXPECT_EQ(means[1].mean, 20);
  EXPECT_EQ(means[2].name, "800-999");
  EXPECT_EQ(means[2].mean, 200);
}

TEST(ClusterLossesTest, BeginsAnewAndLeavesOutTheEmpty) {
  ClusterLosses losses(kClusters);
  add(losses, {0}, {1});
  losses.take();
  EXPECT_TRUE(losses.take().empty());
  add(losses, {900}, {5});
  const auto means = losses.take();
  ASSERT_EQ(means.size(), 1);
  EXPECT_EQ(means[0].name, "800-999");
  EXPECT_EQ(means[0].mean, 5);
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
  EXPECT_EQ(losses.take()[0].mean, 2);
}

}  // namespace
}  // namespace crescendo::pipelines
