#include "curriculum/clusters.h"

#include <cmath>
#include <numbers>

#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo::curriculum {
namespace {

using Timesteps = std::vector<std::int64_t>;

/// SNR of the linear schedule, beta from 1e-4 to 0.02.
std::vector<double> linear_snr(int timesteps = 1000) {
  std::vector<double> snr;
  double alpha = 1;
  for (int t = 0; t < timesteps; ++t) {
    alpha *= 1 - (1e-4 + (0.02 - 1e-4) * t / std::max(timesteps - 1, 1));
    snr.push_back(alpha / (1 - alpha));
  }
  return snr;
}

/// SNR of the cosine schedule, s = 0.008, beta clipped at 0.999.
std::vector<double> cosine_snr() {
  const auto bar = [](int step) {
    return std::pow(std::cos((step / 1000.0 + 0.008) / 1.008 * std::numbers::pi / 2), 2);
  };
  std::vector<double> snr;
  double alpha = 1;
  for (int t = 0; t < 1000; ++t) {
    alpha *= 1 - std::min(1 - bar(t + 1) / bar(t), 0.999);
    snr.push_back(alpha / (1 - alpha));
  }
  return snr;
}

Timesteps begins(const ClusteringOptions& options, const std::vector<double>& snr) {
  Timesteps result;
  for (const Cluster& cluster : make_clusters(options, snr)) result.push_back(cluster.begin);
  return result;
}

std::string error_of(const ClusteringOptions& options, const std::vector<double>& snr) {
  return error_text([&] { make_clusters(options, snr); });
}

TEST(ClustersTest, PartitionEveryTimestep) {
  for (const int timesteps : {1, 2, 7, 64, 101}) {
    const std::vector<double> snr = linear_snr(timesteps);
    for (std::int64_t count = 1; count <= timesteps; ++count) {
      for (const char* method : {"uniform", "log_snr", "snr"}) {
        const auto clusters = make_clusters({.clusters = count, .method = method}, snr);
        ASSERT_EQ(clusters.size(), static_cast<std::size_t>(count));
        std::int64_t next = 0;
        for (const Cluster& cluster : clusters) {
          ASSERT_EQ(cluster.begin, next) << method << " T=" << timesteps << " N=" << count;
          ASSERT_GT(cluster.end, cluster.begin) << method << " T=" << timesteps << " N=" << count;
          next = cluster.end;
        }
        ASSERT_EQ(next, timesteps);
      }
    }
  }
}

TEST(ClustersTest, UniformRoundsBoundariesDown) {
  EXPECT_EQ(begins({.clusters = 3}, linear_snr(10)), (Timesteps{0, 3, 6}));
  EXPECT_EQ(make_clusters({.clusters = 20}, linear_snr())[19], (Cluster{950, 1000}));
}

TEST(ClustersTest, SnrBoundariesOfTheLinearSchedule) {
  EXPECT_EQ(begins({.clusters = 5, .method = "snr"}, linear_snr()), (Timesteps{0, 1, 2, 7, 22}));
  EXPECT_EQ(begins({.clusters = 20, .method = "snr"}, linear_snr()),
            (Timesteps{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 14, 18, 23, 30, 40, 57, 84, 137, 260}));
}

TEST(ClustersTest, SnrBoundariesOfTheCosineSchedule) {
  EXPECT_EQ(begins({.clusters = 5, .method = "snr"}, cosine_snr()), (Timesteps{0, 1, 4, 12, 37}));
  EXPECT_EQ(begins({.clusters = 20, .method = "snr"}, cosine_snr()),
            (Timesteps{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 21, 28, 37, 52, 74, 111, 182, 351}));
}

TEST(ClustersTest, LogSnrBoundariesOfTheLinearSchedule) {
  EXPECT_EQ(begins({.clusters = 5, .method = "log_snr"}, linear_snr()),
            (Timesteps{0, 153, 393, 623, 822}));
  EXPECT_EQ(begins({.clusters = 20, .method = "log_snr"}, linear_snr()),
            (Timesteps{0,   14,  39,  74,  119, 171, 230, 291, 355, 418,
                       480, 541, 600, 656, 709, 761, 812, 861, 908, 954}));
}

TEST(ClustersTest, LogSnrBoundariesOfTheCosineSchedule) {
  EXPECT_EQ(begins({.clusters = 5, .method = "log_snr"}, cosine_snr()),
            (Timesteps{0, 133, 372, 653, 881}));
  EXPECT_EQ(begins({.clusters = 20, .method = "log_snr"}, cosine_snr()),
            (Timesteps{0,   17,  44,  81,  128, 185, 251, 322, 400, 480,
                       561, 640, 714, 782, 843, 894, 935, 966, 987, 999}));
}

TEST(ClustersTest, ListIsTakenAsGiven) {
  const ClusteringOptions options{.clusters = 20, .method = "list", .boundaries = {0, 10, 500}};
  EXPECT_EQ(make_clusters(options, linear_snr()),
            (std::vector<Cluster>{{0, 10}, {10, 500}, {500, 1000}}));
}

TEST(ClustersTest, ListMustCoverEveryTimestepInOrder) {
  const std::vector<double> snr = linear_snr(100);
  for (const Timesteps& wrong :
       {Timesteps{}, Timesteps{1, 5}, Timesteps{0, 5, 5}, Timesteps{0, 9, 3}, Timesteps{0, 100}}) {
    const std::string message = error_of({.method = "list", .boundaries = wrong}, snr);
    EXPECT_TRUE(
        message.starts_with("curriculum.boundaries: expected the first timestep of each "
                            "cluster, rising from 0 to at most 99, found ["))
        << message;
  }
}

TEST(ClustersTest, BoundariesAreNeverIgnored) {
  EXPECT_EQ(error_of({.boundaries = {0, 5}}, linear_snr()),
            "curriculum.boundaries: used by clustering = \"list\" alone, found \"uniform\"");
}

TEST(ClustersTest, ThereIsATimestepForEveryCluster) {
  EXPECT_EQ(error_of({.clusters = 11}, linear_snr(10)),
            "curriculum.clusters: expected between 1 and 10 (the number of timesteps), found 11");
  EXPECT_NE(error_of({.clusters = 0}, linear_snr(10)), "");
}

TEST(ClustersTest, UnknownMethodIsNamed) {
  EXPECT_EQ(error_of({.method = "kmeans"}, linear_snr()),
            "curriculum.clustering: expected one of uniform, log_snr, snr, quantile, list, found "
            "\"kmeans\"");
}

TEST(ClustersTest, SnrMustFallAndStayPositive) {
  const auto expect_rejected = [](const std::vector<double>& snr) {
    const std::string message = error_of({.clusters = 2, .method = "log_snr"}, snr);
    EXPECT_TRUE(message.starts_with("curriculum.clustering: 'log_snr' needs")) << message;
  };
  expect_rejected({3, 2, 0});
  expect_rejected({3, 3, 1});
  expect_rejected({INFINITY, 3, 1});
  expect_rejected({3, NAN, 1});
  EXPECT_EQ(error_of({.clusters = 2}, {3, 2, 0}), "");
}

}  // namespace
}  // namespace crescendo::curriculum
