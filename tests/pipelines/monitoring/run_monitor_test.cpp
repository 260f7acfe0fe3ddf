#include "pipelines/monitoring/run_monitor.h"

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "core/log.h"
#include "pipelines/shards/picture_file.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;

const RunDescription kDescription = {.command = "train", .config = "seed = 1", .steps = 10};

class RunMonitorTest : public testing::Test {
 protected:
  RunMonitorTest() {
    fs::create_directories(run_ / "samples");
    log::start(false);
    log::also_to_file(log_);
  }
  void TearDown() override { log::start(false); }

  std::string event_bytes() const {
    std::string bytes;
    for (const auto& entry : fs::directory_iterator(run_)) {
      if (entry.path().filename().string().starts_with("events.out.tfevents.")) {
        bytes += read_file(entry.path());
      }
    }
    return bytes;
  }

  bool told(std::string_view text) const { return event_bytes().find(text) != std::string::npos; }

  std::string state() const {
    const std::string html = read_file(run_ / "index.html");
    const std::size_t begin = html.find(" · ") + 4;
    return html.substr(begin, html.find(" · ", begin) - begin);
  }

  TemporaryFolder folder_;
  fs::path run_ = folder_ / "run";
  fs::path log_ = folder_ / "log.txt";
};

TEST_F(RunMonitorTest, TellsTensorBoardAndThePage) {
  RunMonitor monitor(run_, kDescription, true);
  monitor.start(0);
  monitor.observe({{"step", 1},
                   {"loss", 0.5},
                   {"stage", 1},
                   {"images", 8},
                   {"seconds", 2},
                   {"data_seconds", 1},
                   {"first_key", "a"}});
  monitor.observe({{"step", 1}, {"event", "clusters"}, {"losses", {{"00-49", 0.5}}}});
  monitor.observe({{"step", 1}, {"event", "stage"}, {"to", 2}});
  monitor.observe({{"step", 1},
                   {"event", "held_out"},
                   {"loss", 0.25},
                   {"weighted_loss", 0.125},
                   {"losses", {{"00-49", 0.25}}},
                   {"set", "a1"}});
  monitor.observe({{"step", 1}, {"event", "evaluate"}, {"fid", 9.5}, {"set", "a1"}});
  write_png(run_ / "samples" / "step-00000001.png", {2, 2, std::vector<std::uint8_t>(12, 128)});
  monitor.add_picture(1, run_ / "samples" / "step-00000001.png");
  EXPECT_EQ(state(), "running");
  monitor.finish(RunState::kFinished);
  EXPECT_EQ(state(), "finished");
  for (const char* tag :
       {"train/loss", "train/images_per_second", "train/data_wait_percent", "train/stage",
        "cluster_loss/00-49", "held_out/loss", "held_out/weighted_loss", "held_out_cluster/00-49",
        "evaluate/fid", "samples", "```toml\nseed = 1\n```"}) {
    EXPECT_TRUE(told(tag)) << tag;
  }
  EXPECT_FALSE(told("first_key"));
  EXPECT_NE(read_file(run_ / "index.html").find("samples after step 1"), std::string::npos);
}

TEST_F(RunMonitorTest, HasStoppedWhereNobodyFinishedIt) {
  {
    RunMonitor monitor(run_, kDescription, false);
    monitor.start(0);
    monitor.observe({{"step", 1}, {"loss", 0.5}});
  }
  EXPECT_EQ(state(), "stopped");
  EXPECT_EQ(event_bytes(), "");
}

TEST_F(RunMonitorTest, WritesNothingOfARunThatDoesNotStart) {
  { const RunMonitor monitor(run_, kDescription, true); }
  EXPECT_FALSE(fs::exists(run_ / "index.html"));
  EXPECT_EQ(event_bytes(), "");
}

TEST_F(RunMonitorTest, RemembersWhatWentBefore) {
  write_file_atomically(run_ / "metrics.jsonl", "{\"step\":4,\"loss\":0.5}\n");
  const dataloader::Image picture{2, 2, std::vector<std::uint8_t>(12, 128)};
  for (const char* name : {"step-00000004.png", "step-00000008.png", "other.png"}) {
    write_png(run_ / "samples" / name, picture);
  }
  RunMonitor monitor(run_, kDescription, false);
  monitor.start(4);
  monitor.finish(RunState::kRunning);
  const std::string html = read_file(run_ / "index.html");
  EXPECT_NE(html.find("<dd>4<small> of 10"), std::string::npos);
  EXPECT_NE(html.find("samples after step 4"), std::string::npos);
  EXPECT_EQ(html.find("samples after step 8"), std::string::npos);  // of an abandoned future
}

TEST_F(RunMonitorTest, ComplainsAndGoesOn) {
  fs::create_directories(run_ / "index.html" / "in the way");
  RunMonitor monitor(run_, kDescription, true);
  monitor.start(0);
  monitor.observe({{"step", 1}, {"loss", 0.5}});
  monitor.add_picture(1, run_ / "samples" / "missing.png");
  monitor.finish(RunState::kFinished);
  spdlog::default_logger()->flush();
  const std::string log = read_file(log_);
  EXPECT_NE(log.find("index.html: "), std::string::npos) << log;
  EXPECT_NE(log.find("missing.png: "), std::string::npos) << log;
  EXPECT_TRUE(told("train/loss"));
}

}  // namespace
}  // namespace crescendo::pipelines
