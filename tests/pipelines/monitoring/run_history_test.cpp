#include "pipelines/monitoring/run_history.h"

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

using Json = nlohmann::ordered_json;

TEST(RunHistoryTest, MakesACurveOfEachNumberOfAStep) {
  RunHistory history;
  history.observe(Json::parse(R"({"step":1,"loss":0.5,"lr":0.1,"stage":1,"epoch":0,"samples":4,
      "images":4,"first_key":"a","seconds":2,"data_seconds":0.5})"));
  history.observe(Json::parse(R"({"step":2,"loss":0.25,"lr":0.2,"seconds":3})"));
  EXPECT_EQ(history.step(), 2);
  EXPECT_EQ(history.seconds(), 5);
  std::vector<std::string> keys;
  for (const auto& [key, series] : history.series()) keys.push_back(key);
  EXPECT_EQ(keys, (std::vector<std::string>{"loss", "lr", "images/s", "data wait"}));
  EXPECT_EQ(history.find("images/s")->last(), 2);
  EXPECT_EQ(history.find("data wait")->last(), 25);
  ASSERT_EQ(history.find("loss")->points().size(), 2);
  EXPECT_EQ(history.find("loss")->points()[1].last_step, 2);
  EXPECT_EQ(history.find("loss")->last(), 0.25);
  EXPECT_EQ(history.find("kl"), nullptr);
}

TEST(RunHistoryTest, KnowsStagesClustersAndResults) {
  RunHistory history;
  EXPECT_EQ(history.stage(), 1);
  history.observe(Json::parse(R"({"step":87,"event":"stage","from":1,"to":2,"reason":"patience",
      "steps_in_stage":87,"best_loss":0.25})"));
  history.observe(Json::parse(R"({"step":90,"event":"clusters","losses":{"0-4":1.5,"5-9":2}})"));
  history.observe(Json::parse(R"({"step":95,"event":"measure","psnr":26.5,"images":9})"));
  EXPECT_EQ(history.stage(), 2);
  ASSERT_EQ(history.stages().size(), 1);
  EXPECT_EQ(history.stages()[0].step, 87);
  EXPECT_EQ(history.stages()[0].ended_by, "patience");
  EXPECT_EQ(history.stages()[0].steps_before, 87);
  EXPECT_EQ(history.stages()[0].best_loss_before, 0.25);
  ASSERT_EQ(history.clusters().size(), 2);
  EXPECT_EQ(history.clusters().at("5-9").points()[0].last_step, 90);
  EXPECT_EQ(history.clusters().at("5-9").last(), 2);
  EXPECT_EQ(history.results().at("psnr"), 26.5);
  EXPECT_TRUE(history.series().empty());
}

TEST(RunHistoryTest, KeepsEveryHeldOutLossWithTheTimeUntilThen) {
  RunHistory history;
  history.observe(Json::parse(
      R"({"step":0,"event":"held_out","loss":1.5,"losses":{"0-4":1,"5-9":2},"set":"a1"})"));
  history.observe(Json::parse(R"({"step":1,"loss":0.5,"seconds":2})"));
  history.observe(Json::parse(
      R"({"step":1,"event":"held_out","loss":0.5,"losses":{"0-4":0.25,"5-9":0.75},"set":"a1"})"));
  ASSERT_EQ(history.held_out().size(), 2);
  EXPECT_EQ(history.held_out()[0].step, 0);
  EXPECT_EQ(history.held_out()[0].seconds, 0);
  EXPECT_EQ(history.held_out()[1].seconds, 2);
  EXPECT_EQ(history.held_out()[1].loss, 0.5);
  EXPECT_EQ(history.held_out()[1].clusters.at("5-9"), 0.75);
  EXPECT_EQ(history.held_out()[1].set, "a1");
  EXPECT_TRUE(history.results().empty());
}

TEST(RunHistoryTest, KeepsEvaluationsOfWhatIsDrawn) {
  RunHistory history;
  history.observe(Json::parse(R"({"step":5,"event":"evaluate","fid":9.5,"set":"a1"})"));
  history.observe(Json::parse(R"({"step":10,"event":"evaluate","fid":8.5,"is":2,"set":"b2"})"));
  ASSERT_EQ(history.evaluations().size(), 2);
  EXPECT_EQ(history.evaluations()[0].step, 5);
  EXPECT_EQ(history.evaluations()[0].metrics, (std::map<std::string, double>{{"fid", 9.5}}));
  EXPECT_EQ(history.evaluations()[1].set, "b2");
  EXPECT_EQ(history.results().at("fid"), 8.5);
}

TEST(RunHistoryTest, PassesOverWhatIsNoMetric) {
  const TemporaryFolder folder;
  write_file_atomically(
      folder / "metrics.jsonl",
      "\n[]\n{\"loss\":1}\n{\"step\":\"x\"}\n{\"step\":1,\"loss\":null,\"n\":{}}\n"
      "{\"step\":2,\"event\":\"stage\"}\n{\"step\":2,\"event\":7}\n"
      "{\"step\":3,\"event\":\"clusters\",\"losses\":[1]}\n"
      "{\"step\":3,\"event\":\"held_out\",\"loss\":1,\"losses\":[1],\"set\":\"a\"}\n"
      "{\"step\":4,\"loss\":0.5}\n{\"step\":5,\"lo");
  const RunHistory history = read_history(folder / "metrics.jsonl");
  EXPECT_EQ(history.step(), 4);
  EXPECT_EQ(history.find("loss")->points().size(), 1);
  EXPECT_TRUE(history.clusters().empty());
  EXPECT_TRUE(history.held_out().empty());
  EXPECT_EQ(read_history(folder / "none").step(), 0);
}

}  // namespace
}  // namespace crescendo::pipelines
