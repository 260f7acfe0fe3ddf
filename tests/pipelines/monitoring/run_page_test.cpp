#include "pipelines/monitoring/run_page.h"

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "pipelines/shards/picture_file.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

class RunPageTest : public testing::Test {
 protected:
  RunPage page(RunDescription description = {.command = "train", .steps = 2000, .stages = 4}) {
    fs::create_directories(run_ / "samples");
    return {run_, std::move(description), {}, std::chrono::hours(1)};
  }

  std::string html() const { return read_file(run_ / "index.html"); }

  /// What the page's script works with.
  Json data() const {
    const std::string all = html();
    const std::string_view open = "<script type=\"application/json\" id=\"data\">";
    const std::size_t begin = all.find(open) + open.size();
    return Json::parse(all.substr(begin, all.find("</script>", begin) - begin));
  }

  bool has(std::string_view text) const { return html().find(text) != std::string::npos; }

  TemporaryFolder folder_;
  fs::path run_ = folder_ / "my run";
};

TEST_F(RunPageTest, ShowsWhereTheRunIs) {
  RunPage one = page();
  for (int step = 1; step <= 1500; ++step) {
    one.observe({{"step", step}, {"loss", 0.5}, {"images", 8}, {"seconds", 4}});
  }
  one.observe({{"step", 1500}, {"event", "stage"}, {"to", 2}, {"reason", "patience"}});
  one.write(RunState::kRunning);
  EXPECT_TRUE(has("<title>my run · running · 75.0%</title>"));
  EXPECT_TRUE(has("<dt>step</dt><dd>1,500<small> of 2,000</small>"));
  EXPECT_TRUE(has("<dt>time</dt><dd>1:40:00<"));
  EXPECT_TRUE(has("<dt>left</dt><dd>33:20<"));
  EXPECT_TRUE(has("<dt>stage</dt><dd>2<small> of 4</small>"));
  EXPECT_TRUE(has("<dt>loss</dt><dd>0.5000<"));
  EXPECT_TRUE(has("<dt>speed</dt><dd>2.0<small> images/s</small>"));
  EXPECT_EQ(data()["state"], "running");
  EXPECT_EQ(data()["stages"], Json::parse(R"([[1500,"2/4"]])"));
  EXPECT_LE(data()["series"]["loss"]["step"].size(), 1000);
  EXPECT_EQ(data()["series"]["loss"]["step"].back(), 1500);
  EXPECT_EQ(data()["series"]["loss"]["mean"].front(), 0.5);
  one.write(RunState::kFinished);
  EXPECT_EQ(data()["state"], "finished");
  EXPECT_FALSE(has("<dt>left</dt>"));
  one.write(RunState::kStopped);
  EXPECT_EQ(data()["state"], "stopped");
}

TEST_F(RunPageTest, ShowsTheHeldOutLossApartFromTheTrainingLoss) {
  RunPage one = page();
  one.observe({{"step", 1}, {"loss", 0.5}});
  for (int step : {0, 1}) {
    one.observe({{"step", step},
                 {"event", "held_out"},
                 {"loss", 1.0 / (1 + step)},
                 {"losses", {{"0-4", 0.5}, {"5-9", 1.5}}},
                 {"set", "a1"}});
  }
  one.write(RunState::kRunning);
  EXPECT_TRUE(has("<dt>held-out loss</dt><dd>0.5000<"));
  EXPECT_EQ(data()["held_out"]["step"], Json::parse("[0,1]"));
  EXPECT_EQ(data()["held_out"]["line"], Json::parse("[1.0,0.5]"));
  EXPECT_EQ(data()["held_out"]["clusters"][1],
            Json::parse(R"({"name":"5-9","step":[0,1],"line":[1.5,1.5]})"));
}

TEST_F(RunPageTest, EscapesWhatComesFromOutside) {
  const std::string bad = "</script><img src=x onerror='a' title=\"b\"> & {{data}}";
  RunPage one = page({.command = "train", .config = bad, .steps = 1, .what = bad});
  one.observe({{"step", 1}, {bad, 0.5}, {"first_key", bad}});
  one.observe({{"step", 1}, {"event", "clusters"}, {"losses", {{bad, 2.0}}}});
  one.observe({{"step", 1}, {"event", "stage"}, {"to", 2}, {"reason", bad}});
  one.observe({{"step", 1}, {"event", "measure"}, {bad, 2.0}});
  one.write(RunState::kRunning);
  EXPECT_FALSE(has("<img src"));
  EXPECT_FALSE(has("title=\"b\""));
  EXPECT_TRUE(
      has("&lt;/script&gt;&lt;img src=x onerror=&#39;a&#39; title=&quot;b&quot;&gt; &amp; "
          "{{data}}"));
  EXPECT_EQ(data()["clusters"][0]["name"], bad);
}

TEST_F(RunPageTest, HoldsSmallPicturesThatLinkToTheLarge) {
  RunPage one = page();
  const fs::path file = run_ / "samples" / "step-00000400.png";
  write_png(file, {1280, 640, std::vector<std::uint8_t>(1280 * 640 * 3, 128)});
  one.add_picture(400, file);
  one.write(RunState::kRunning);
  EXPECT_TRUE(
      has("<a href=\"samples/step-00000400.png\"><img alt=\"samples after step 400\" "
          "width=\"640\" height=\"320\" src=\"data:image/jpeg;base64,/9j/"));
}

TEST_F(RunPageTest, IsWrittenAtMostEveryInterval) {
  RunPage one = page();
  one.observe({{"step", 1}, {"loss", 0.5}});
  one.refresh();
  EXPECT_EQ(data()["step"], 1);
  one.observe({{"step", 2}, {"loss", 0.5}});
  one.refresh();
  EXPECT_EQ(data()["step"], 1);
}

TEST_F(RunPageTest, RoundsToFiveDigits) {
  RunPage one = page();
  one.observe({{"step", 1}, {"a", 1.0 / 3e7}, {"b", -123456.7}, {"c", 0.0}, {"d", 1e-320}});
  one.write(RunState::kRunning);
  EXPECT_EQ(data()["series"]["a"]["mean"][0], 3.3333e-8);
  EXPECT_EQ(data()["series"]["b"]["mean"][0], -123460);
  EXPECT_EQ(data()["series"]["c"]["mean"][0], 0);
  EXPECT_NEAR(data()["series"]["d"]["mean"][0].get<double>(), 1e-320, 1e-321);
}

TEST_F(RunPageTest, StaysBounded) {
  RunPage one = page();
  for (int step = 1; step <= 200'000; ++step) {
    one.observe({{"step", step}, {"loss", 1.0 / step}});
  }
  one.write(RunState::kRunning);
  EXPECT_LT(html().size(), 100'000);
}

}  // namespace
}  // namespace crescendo::pipelines
