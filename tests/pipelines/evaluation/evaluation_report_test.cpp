#include "pipelines/evaluation/evaluation_report.h"

#include <gtest/gtest.h>

namespace crescendo::pipelines {
namespace {

EvaluationReport sample_report() {
  EvaluationReport report;
  report.metrics = {{.name = "fid", .value = 12.3456789, .interval = {{11.5, 13.25}}},
                    {.name = "is", .value = 9.5, .std = 0.25, .settings = {{"splits", 10}}}};
  report.images = {.path = "drawn", .samples = 5000, .skipped = 2, .sha256 = "0123456789abcdef"};
  report.reference = {.path = "photos.npz", .sha256 = "fedcba9876543210"};
  report.features = {"inception-v3", "aabbccddeeff0011", "clean"};
  report.dimension = 2048;
  report.warnings = {"few"};
  return report;
}

TEST(EvaluationReportTest, ALineAMetricTellsWhatItDependsOn) {
  EXPECT_EQ(to_text(sample_report()),
            "FID 12.3457 (95 %: 11.5 to 13.25) (5000 images; inception-v3 aabbccddee, resize "
            "clean; images 0123456789; reference fedcba9876)\n"
            "IS 9.5 +- 0.25 (5000 images; inception-v3 aabbccddee, resize clean; images "
            "0123456789)\n");
}

TEST(EvaluationReportTest, DrawnImagesTellTheModelAndHow) {
  EvaluationReport report = sample_report();
  report.metrics.pop_back();
  report.images.drawing = {{"sha256", "99887766554433221100"}, {"sampler", "ddim"}, {"steps", 50}};
  EXPECT_EQ(to_text(report),
            "FID 12.3457 (95 %: 11.5 to 13.25) (5000 images; inception-v3 aabbccddee, resize "
            "clean; model 9988776655: sampler ddim, steps 50; reference fedcba9876)\n");
}

TEST(EvaluationReportTest, JsonHoldsEverything) {
  const nlohmann::ordered_json json = to_json(sample_report());
  EXPECT_EQ(json["metrics"]["fid"]["value"], 12.3456789);
  EXPECT_EQ(json["metrics"]["fid"]["interval_95"], (std::vector<double>{11.5, 13.25}));
  EXPECT_EQ(json["metrics"]["is"]["splits"], 10);
  EXPECT_EQ(json["images"]["skipped"], 2);
  EXPECT_EQ(json["features"]["sha256"], "aabbccddeeff0011");
  EXPECT_EQ(json["reference"]["path"], "photos.npz");
  EXPECT_FALSE(json["reference"].contains("samples"));
  EXPECT_EQ(json["warnings"].size(), 1U);
}

}  // namespace
}  // namespace crescendo::pipelines
