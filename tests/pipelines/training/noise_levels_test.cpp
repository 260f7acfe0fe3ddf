#include "pipelines/training/noise_levels.h"

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "curriculum/curriculum.h"
#include "tests/core/error_text.h"

namespace crescendo::pipelines {
namespace {

using curriculum::Cluster;
using curriculum::Curriculum;
using diffusion::DiffusionOptions;

Curriculum make_curriculum(const diffusion::NoiseProcess& process, const std::string& method,
                           std::int64_t clusters = 5) {
  return {{.clustering = {.clusters = clusters, .method = method}, .pacing = {.patience = 2}},
          noise_axis(process)};
}

void run_stage(Curriculum& curriculum) {
  const std::int64_t stage = curriculum.stage();
  for (int step = 0; step < 100 && curriculum.stage() == stage; ++step) curriculum.observe(1.0);
  ASSERT_GT(curriculum.stage(), stage);
}

struct Case {
  const char* formulation;
  const char* clustering;
};

class NoiseLevelsTest : public testing::TestWithParam<Case> {
 protected:
  std::shared_ptr<const diffusion::NoiseProcess> process_ =
      diffusion::make_noise_process({.formulation = GetParam().formulation});
};

TEST_P(NoiseLevelsTest, ClustersPartitionTheAxis) {
  for (const std::int64_t count : {1, 3, 20}) {
    std::int64_t end = 0;
    const Curriculum curriculum = make_curriculum(*process_, GetParam().clustering, count);
    for (const Cluster& cluster : curriculum.clusters()) {
      EXPECT_EQ(cluster.begin, end);
      EXPECT_GT(cluster.size(), 0);
      end = cluster.end;
    }
    EXPECT_EQ(end, process_->places());
    EXPECT_EQ(curriculum.clusters().size(), static_cast<std::size_t>(count));
  }
}

TEST_P(NoiseLevelsTest, DrawsAreTheDistributionRestrictedToTheStage) {
  constexpr int kDraws = 8000;
  Curriculum curriculum = make_curriculum(*process_, GetParam().clustering);
  for (std::uint64_t stage = 1; stage <= 5; ++stage) {
    const Cluster range = curriculum.active_timesteps().at(0);
    EXPECT_EQ(curriculum.active_timesteps().size(), 1U);
    EXPECT_EQ(range, (Cluster{curriculum.clusters()[5 - stage].begin, process_->places()}));
    constexpr std::int64_t kBins = 10;
    std::vector<double> counts(kBins);
    std::vector<std::int64_t> places;
    for (std::uint64_t position = 0; position < kDraws; ++position) {
      RandomStream stream(stage, Purpose::kTimestep, position);
      places.push_back(curriculum.timestep(stream));
      ASSERT_GE(places.back(), range.begin);
      ASSERT_LT(places.back(), range.end);
      counts[static_cast<std::size_t>((places.back() - range.begin) * kBins / range.size())] += 1;
    }
    double chi_square = 0;
    for (std::int64_t bin = 0; bin < kBins; ++bin) {
      const auto first = [&](std::int64_t of) { return (of * range.size() + kBins - 1) / kBins; };
      const double expected = kDraws * static_cast<double>(first(bin + 1) - first(bin)) /
                              static_cast<double>(range.size());
      chi_square += std::pow(counts[static_cast<std::size_t>(bin)] - expected, 2) / expected;
    }
    EXPECT_LT(chi_square, 27.9) << stage;  // p = 0.001 at 9 degrees of freedom
    // The levels themselves lie between those of the ends.
    const at::Tensor levels = process_->levels(places);
    const auto share = [&](std::int64_t place) {
      return static_cast<double>(place) / static_cast<double>(process_->places());
    };
    EXPECT_GE(levels.min().item<double>(), process_->quantile(share(range.begin)));
    EXPECT_LE(levels.max().item<double>(), process_->quantile(share(range.end)));
    if (!curriculum.finished()) run_stage(curriculum);
  }
}

TEST_P(NoiseLevelsTest, ADrawIsStratifiedByClusters) {
  const Curriculum curriculum = make_curriculum(*process_, GetParam().clustering);
  for (std::size_t i = 0; i < 5; ++i) {
    for (const double share : {0.0, 0.5, 1 - 1e-9}) {
      const std::int64_t place = curriculum.clusters()[i].at(share);
      EXPECT_EQ(curriculum::cluster_of(curriculum.clusters(), place), i);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Formulations, NoiseLevelsTest,
                         testing::Values(Case{"discrete", "uniform"}, Case{"discrete", "log_snr"},
                                         Case{"edm", "quantile"}, Case{"flow_matching", "uniform"},
                                         Case{"flow_matching", "quantile"}));

TEST(NoiseLevelsNamesTest, SortByNoise) {
  const auto process = diffusion::make_noise_process({.formulation = "edm"});
  const Curriculum curriculum = make_curriculum(*process, "quantile", 1000);
  const auto names = cluster_names(*process, curriculum.clusters());
  EXPECT_TRUE(names.back().starts_with("12.")) << names.back();
  EXPECT_TRUE(std::ranges::is_sorted(names));
}

TEST(NoiseLevelsNamesTest, AreTimestepsSigmasOrTimes) {
  const auto discrete = diffusion::make_noise_process(DiffusionOptions{});
  EXPECT_EQ(describe_levels(*discrete, std::vector<Cluster>{{0, 50}, {950, 1000}}),
            "timesteps 0 to 49, 950 to 999");
  EXPECT_TRUE(cluster_names(*discrete, std::vector<Cluster>{{0, 1000}}).empty());

  const auto edm = diffusion::make_noise_process({.formulation = "edm"});
  const Curriculum by_quantile = make_curriculum(*edm, "quantile", 20);
  EXPECT_EQ(cluster_names(*edm, by_quantile.clusters()).at(1), "0.0418-0.0647");
  EXPECT_EQ(describe_levels(*edm, by_quantile.active_timesteps()), "sigma 2.168 to inf");

  const auto flow = diffusion::make_noise_process({.formulation = "flow_matching"});
  const Curriculum by_time = make_curriculum(*flow, "uniform", 20);
  EXPECT_EQ(cluster_names(*flow, by_time.clusters()).at(19), "0.9500-1.0000");
  EXPECT_EQ(describe_levels(*flow, by_time.active_timesteps()), "t 0.95 to 1");
}

TEST(NoiseLevelsTableTest, TellsDensityAndWeightOfEachCluster) {
  const auto process = diffusion::make_noise_process({.beta_schedule = "linear",
                                                      .beta_start = 1e-4,
                                                      .beta_end = 0.02,
                                                      .loss_weighting = "min_snr"});
  const std::vector<Cluster> clusters{{0, 1}, {1, 250}, {250, 1000}};
  EXPECT_EQ(mean_weight(*process, {0, 1}), static_cast<float>(.000500050005));
  const std::string table = describe_clusters(*process, clusters);
  EXPECT_NE(table.find("loss_weighting = \"min_snr\""), std::string::npos) << table;
  EXPECT_NE(table.find("\n        1  timesteps 0 to 0               0.10%    0.0005001"),
            std::string::npos)
      << table;
  EXPECT_NE(table.find("\n        3  timesteps 250 to 999          75.00%            1"),
            std::string::npos)
      << table;
}

TEST(NoiseLevelsErrorsTest, NameTheClusteringThatFits) {
  const auto error_of = [](const DiffusionOptions& options, const std::string& method,
                           std::int64_t clusters = 5) {
    const auto process = diffusion::make_noise_process(options);
    return error_text([&] { make_curriculum(*process, method, clusters); });
  };
  EXPECT_EQ(error_of({}, "quantile"),
            "curriculum.clustering: \"quantile\" divides continuous noise levels; expected one of "
            "uniform, log_snr, snr, list with diffusion.formulation = \"discrete\"");
  EXPECT_EQ(error_of({.formulation = "edm"}, "uniform"),
            "curriculum.clustering: expected \"quantile\", because the noise levels of this "
            "diffusion.formulation have no greatest, found \"uniform\"");
  EXPECT_EQ(error_of({.formulation = "flow_matching"}, "log_snr"),
            "curriculum.clustering: expected \"uniform\" or \"quantile\" with continuous noise "
            "levels (diffusion.formulation), found \"log_snr\"");
  EXPECT_EQ(
      error_of({.formulation = "flow_matching"}, "uniform", 1000),
      "curriculum.clusters: with clustering = \"uniform\" cluster 1 of 1000 is never drawn in "
      "training; expected fewer clusters, or clustering = \"quantile\"");
  EXPECT_EQ(error_of({.formulation = "edm"}, "quantile", 1001),
            "curriculum.clusters: expected between 1 and 1000, found 1001");
}

TEST(NoiseLevelsErrorsTest, AStateOfAnotherFormulationIsRefused) {
  const auto edm = diffusion::make_noise_process({.formulation = "edm"});
  const auto flow = diffusion::make_noise_process({.formulation = "flow_matching"});
  Curriculum by_time = make_curriculum(*flow, "uniform");
  const nlohmann::json state = make_curriculum(*edm, "quantile").state();
  EXPECT_TRUE(error_text([&] {
                by_time.load_state(state);
              }).starts_with("curriculum.clustering: expected the clusters of the run to resume"));
}

}  // namespace
}  // namespace crescendo::pipelines
