#include "pipelines/studies/comparison.h"

#include <cmath>

#include <gtest/gtest.h>

#include "pipelines/shards/picture_file.h"
#include "pipelines/studies/comparison_page.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/pipelines/studies/recorded_runs.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;

std::string config(int seed, bool curriculum, const std::string& rest = "") {
  return fmt::format("[run]\noutput_dir = \"x{}\"\nseed = {}\n[curriculum]\nenabled = {}\n{}", seed,
                     seed, curriculum, rest);
}

class ComparisonTest : public testing::Test {
 protected:
  RecordedRun run(const std::string& name, const std::string& toml,
                  const std::vector<double>& losses, const std::string& set = "a1") {
    return read_run(record_run(folder_ / name, toml, losses, set));
  }

  /// Two seeds of each arm; the curriculum is there a measurement earlier.
  std::vector<RecordedRun> two_arms() {
    return {run("c0", config(0, true), {4, 2, 1}), run("b0", config(0, false), {4, 3, 2}),
            run("c1", config(1, true), {4, 1.5, 1.5}), run("b1", config(1, false), {4, 3, 3})};
  }

  TemporaryFolder folder_;
};

TEST_F(ComparisonTest, TakesTheSeedsOfAConfigurationTogether) {
  const Comparison made = compare_runs(two_arms());
  ASSERT_EQ(made.arms.size(), 2);
  EXPECT_EQ(made.arms[0].name, "curriculum");
  EXPECT_EQ(made.arms[1].name, "baseline");
  EXPECT_EQ(made.arms[0].runs.size(), 2);
  EXPECT_EQ(made.arms[0].values,
            (std::map<std::string, std::string>{{"curriculum.enabled", "true"}}));
  EXPECT_EQ(made.baseline, 1);
  EXPECT_EQ(made.common_step, 20);
  EXPECT_EQ(made.target, 2.5);
}

TEST_F(ComparisonTest, TellsWhatWasEvaluatedAlike) {
  std::vector<RecordedRun> runs = two_arms();
  EXPECT_EQ(compare_runs(runs).evaluated_step, 0);
  double fid = 10;
  for (RecordedRun& one : runs) {
    for (const int step : {10, 20}) {
      one.history.observe({{"step", step}, {"event", "evaluate"}, {"fid", fid++}, {"set", "a1"}});
    }
  }
  // At step 30 one of them was evaluated otherwise.
  for (RecordedRun& one : runs) {
    const char* set = &one == &runs[2] ? "b2" : "a1";
    one.history.observe({{"step", 30}, {"event", "evaluate"}, {"fid", 1}, {"set", set}});
  }
  const Comparison made = compare_runs(runs);
  EXPECT_EQ(made.evaluated_step, 20);
  EXPECT_EQ(made.arms[0].evaluation.at("fid").mean, 13);  // of 11 and 15
  EXPECT_DOUBLE_EQ(made.arms[0].evaluation.at("fid").deviation, std::sqrt(8));
  EXPECT_EQ(to_json(made)["arms"][1]["evaluation"]["fid"]["mean"], 15);
  EXPECT_NE(to_text(made).find("evaluated at step 20\n  curriculum: fid 13 ± 2.8\n"),
            std::string::npos)
      << to_text(made);
  EXPECT_NE(comparison_page(made).find("<h2>Evaluated at step 20</h2>"), std::string::npos);
  EXPECT_NE(comparison_page(made).find("<td>fid<td>13 ± 2.8"), std::string::npos);
}

TEST_F(ComparisonTest, TellsMeanAndDeviationAndWhenTheBaselineIsReached) {
  const Comparison made = compare_runs(two_arms());
  const ArmLoss& curriculum = made.at_common_step(made.arms[0]);
  EXPECT_EQ(curriculum.loss.mean, 1.25);
  EXPECT_DOUBLE_EQ(curriculum.loss.deviation, std::sqrt(0.125));
  EXPECT_EQ(curriculum.clusters.at("0-4").mean, 1.75);
  EXPECT_EQ(curriculum.seconds.mean, 40);
  EXPECT_EQ(made.arms[0].reaching.runs, 2);
  EXPECT_EQ(made.arms[0].reaching.steps.mean, 10);
  EXPECT_EQ(made.arms[0].reaching.seconds.mean, 20);
  EXPECT_EQ(made.arms[1].reaching.runs, 1);  // one seed of the baseline ends above its mean
  EXPECT_EQ(made.arms[1].reaching.steps.mean, 20);
  EXPECT_EQ(to_json(made)["arms"][1]["at_common_step"]["loss"]["mean"], 2.5);
  EXPECT_NE(to_text(made).find("curriculum: 1.25 ± 0.35, 2 runs; 10 steps, 0:20, by 2 of them"),
            std::string::npos)
      << to_text(made);
}

TEST_F(ComparisonTest, NamesArmsByWhatDiffers) {
  const Comparison made =
      compare_runs({run("a", config(0, true, "clusters = 5\n[data]\nworkers = 7\n"), {4, 2}),
                    run("b", config(0, true, "clusters = 20\n"), {4, 3}),
                    run("c", config(1, true, "clusters = 20\n[sample]\nevery = 9\n"), {4, 3})});
  ASSERT_EQ(made.arms.size(), 2);  // workers and samples change no step
  EXPECT_EQ(made.arms[0].name, "clusters = 5");
  EXPECT_EQ(made.arms[1].name, "clusters = 20");
  EXPECT_EQ(made.arms[1].runs.size(), 2);
  EXPECT_EQ(made.baseline, 0);
}

TEST_F(ComparisonTest, ComparesARunThatIsUnderWayAtTheStepsThatBothHave) {
  const Comparison made =
      compare_runs({run("a", config(0, false), {4, 3, 2}), run("b", config(0, true), {4, 2.5})});
  EXPECT_EQ(made.common_step, 10);
  EXPECT_EQ(made.arms[1].reaching.runs, 0);
  EXPECT_NE(to_text(made).find("curriculum: 2.5 ± 0, 1 runs; not reached"), std::string::npos)
      << to_text(made);
}

TEST_F(ComparisonTest, RefusesWhatCannotBeCompared) {
  EXPECT_EQ(error_text([&] { read_run(folder_ / "none"); }),
            fmt::format("{}: expected the folder of a run of `crescendo train`, found no "
                        "config.toml in it",
                        (folder_ / "none").string()));
  const std::string without = error_text([&] { compare_runs({run("a", config(0, true), {})}); });
  EXPECT_NE(without.find("has no held-out loss yet"), std::string::npos) << without;
  const std::string other = error_text([&] {
    compare_runs({run("b", config(0, true), {4, 2}), run("c", config(0, false), {4, 2}, "b2")});
  });
  EXPECT_NE(other.find("its held-out loss is of another set (b2)"), std::string::npos) << other;
}

TEST_F(ComparisonTest, ThePageNeedsNothingElseAndShowsSamplesAtEqualSteps) {
  std::vector<RecordedRun> runs = two_arms();
  runs.push_back(run("<i>", config(2, true), {4, 2, 1}));
  const dataloader::Image picture{4, 4, std::vector<std::uint8_t>(48, 128)};
  for (const char* file : {"c0/samples/step-00000010.png", "b0/samples/step-00000010.png",
                           "c0/samples/step-00000020.png"}) {
    fs::create_directories((folder_ / file).parent_path());
    write_png(folder_ / file, picture);
  }
  const std::string page = comparison_page(compare_runs(std::move(runs)));
  EXPECT_EQ(page.find("http"), std::string::npos);
  EXPECT_EQ(page.find("<i>"), std::string::npos);
  EXPECT_NE(page.find("&lt;i&gt; (2)"), std::string::npos);
  EXPECT_EQ(page.find("nan"), std::string::npos);
  EXPECT_NE(page.find("samples after step 10"), std::string::npos);
  EXPECT_EQ(page.find("samples after step 20"), std::string::npos);  // the baseline has none
}

}  // namespace
}  // namespace crescendo::pipelines
