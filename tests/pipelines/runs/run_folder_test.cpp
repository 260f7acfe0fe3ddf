#include "pipelines/runs/run_folder.h"

#include <fstream>
#include <memory>

#include <gtest/gtest.h>

#include <ATen/Functions.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/log.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;
using Steps = std::vector<std::int64_t>;

class RunFolderTest : public testing::Test {
 protected:
  void TearDown() override {
    run_.reset();
    log::start(false);  // each run folder's log file is a sink of the default logger
  }

  void open(const Resume& resume = {}) {
    run_.reset();  // its lock
    run_ = std::make_unique<RunFolder>(RunOptions{.output_dir = path_.string()}, keep_, config_,
                                       resume);
  }

  /// Returns the step; what was loaded is in weight_.
  std::int64_t resume() {
    return run_->resume([&](const fs::path& folder, const Json& state) {
      weight_ = load_tensors(folder / "weights.safetensors").at("w").item<int>();
      EXPECT_EQ(state["mark"], state["step"].get<int>() * 10);
    });
  }

  std::int64_t go_on(const Resume& how = {}) {
    open(how);
    return resume();
  }

  void save(const Steps& steps) {
    for (const std::int64_t step : steps) {
      run_->log_metrics({{"step", step}, {"loss", 0.5}});
      run_->save_checkpoint(step, {{"mark", step * 10}},
                            {{"weights.safetensors", {{"w", at::full({}, step)}}}});
    }
    EXPECT_EQ(run_->saved_step(), steps.back());
  }

  /// A run with checkpoints of these steps, closed.
  void make_run(const Steps& steps) {
    go_on();
    save(steps);
    run_.reset();
  }

  fs::path checkpoint(std::int64_t step) const { return checkpoint_path(path_, step); }

  Steps steps() const {
    Steps found;
    for (const CheckpointFolder& one : list_checkpoints(path_)) found.push_back(one.step);
    return found;
  }

  bool logged(const std::string& text) const {
    spdlog::default_logger()->flush();
    return read_file(path_ / "log.txt").find(text) != std::string::npos;
  }

  TemporaryFolder folder_;
  fs::path path_ = folder_ / "run";
  CheckpointOptions keep_{.keep = 0};
  RunConfig config_{.command = "train",
                    .toml = "# config\n",
                    .values = {{"run", {{"seed", 0}}}, {"sample", {{"every", 0}}}},
                    .defaults = {}};
  int weight_ = 0;
  std::unique_ptr<RunFolder> run_;
};

TEST_F(RunFolderTest, WritesConfigAndMetrics) {
  EXPECT_EQ(go_on(), 0);
  run_->log_metrics({{"step", 1}, {"loss", 0.25}});
  EXPECT_EQ(read_file(path_ / "config.toml"), "# config\n");
  EXPECT_EQ(read_file(path_ / "metrics.jsonl"), "{\"step\":1,\"loss\":0.25}\n");
}

TEST_F(RunFolderTest, RefusesToHaveNoFolder) {
  EXPECT_TRUE(
      error_text([] { RunFolder({}, {}, {}, {}); }).starts_with("run.output_dir: expected "));
}

TEST_F(RunFolderTest, RefusesARunThatIsNotToBeResumed) {
  make_run({1});
  EXPECT_EQ(error_text([&] { open({.refused = true, .from = {}}); }),
            path_.string() +
                ": already holds a run, which --no-resume does not go on with; choose another "
                "run.output_dir, or move that folder away");
  fs::remove_all(path_ / "checkpoints");
  EXPECT_EQ(error_text([&] { open({.refused = true, .from = {}}); }), "");
}

TEST_F(RunFolderTest, RefusesAModelWithoutACheckpoint) {
  fs::create_directories(path_ / "model");
  EXPECT_EQ(error_text([&] { open(); }),
            path_.string() +
                ": holds a model but no checkpoint to go on from; choose another run.output_dir, "
                "or move that folder away");
}

TEST_F(RunFolderTest, IsOfOneProcess) {
  open();
  EXPECT_EQ(error_text([&] { RunFolder({.output_dir = path_.string()}, {}, config_, {}); }),
            path_.string() + ": another process trains in this folder; wait for it or stop it");
}

TEST_F(RunFolderTest, BeginsAnewWhereNoCheckpointWasWritten) {
  open();
  run_->log_metrics({{"step", 1}});
  EXPECT_EQ(go_on(), 0);
  EXPECT_EQ(read_file(path_ / "metrics.jsonl"), "");
  EXPECT_TRUE(logged("no checkpoint yet; begins at step 0"));
}

TEST_F(RunFolderTest, GoesOnFromTheNewest) {
  make_run({9, 10, 100});
  EXPECT_EQ(go_on(), 100);
  EXPECT_EQ(weight_, 100);
  EXPECT_TRUE(logged("resumes at step 100 from " + checkpoint(100).string()));
}

TEST_F(RunFolderTest, KeepsTheBestBesidesTheNewest) {
  keep_.keep = 1;
  go_on();
  const auto save_with = [&](std::int64_t step, const BestStep& best) {
    Json state{{"mark", step * 10}};
    if (best.step > 0) best.add_to(state);
    run_->save_checkpoint(step, state, {{"weights.safetensors", {{"w", at::full({}, step)}}}});
    run_->saved_step();
  };
  save_with(1, {});
  save_with(2, {2, 0.5, "a1"});
  save_with(3, {2, 0.5, "a1"});
  save_with(4, {2, 0.5, "a1"});
  EXPECT_EQ(steps(), (Steps{4, 2}));
  EXPECT_EQ(run_->best_checkpoint(), checkpoint(2));
  save_with(5, {5, 0.25, "a1"});
  EXPECT_EQ(steps(), (Steps{5}));
}

TEST_F(RunFolderTest, ForgetsABestThatIsGone) {
  go_on();
  const Json state{{"best", {{"step", 2}, {"loss", 0.5}, {"set", "a1"}}}};
  EXPECT_EQ(run_->best_of(state).step, 0);
  EXPECT_TRUE(logged("the best checkpoint, of step 2, is gone"));
  EXPECT_EQ(run_->best_of({{"mark", 1}}).step, 0);
  EXPECT_EQ(data_error_text([&] {
              run_->best_of({{"best", {{"step", "x"}}}});
            }).find("checkpoint state: best: malformed"),
            0);
}

TEST_F(RunFolderTest, StateTellsCommandConfigAndVersions) {
  make_run({3});
  const Json state = read_checkpoint_state(checkpoint(3));
  EXPECT_EQ(state["command"], "train");
  EXPECT_EQ(state["config"], config_.values);
  EXPECT_EQ(state["versions"]["crescendo"], CRESCENDO_VERSION);
  EXPECT_TRUE(state["versions"]["torch"].is_string());
}

TEST_F(RunFolderTest, PassesOverDamagedOnesWithAWarning) {
  make_run({1, 2, 3, 4});
  std::ofstream(checkpoint(4) / "weights.safetensors", std::ios::app) << "more";
  fs::remove(checkpoint(3) / "manifest.json");
  EXPECT_EQ(go_on(), 2);
  EXPECT_EQ(weight_, 2);
  EXPECT_TRUE(logged("passes over a damaged checkpoint: " + checkpoint(4).string() +
                     "/weights.safetensors: is not as it was written"));
  EXPECT_TRUE(logged(checkpoint(3).string() + "/manifest.json: the file is missing"));
  // What was passed over is neither found again nor the reason to delete a good one.
  save({3});
  EXPECT_EQ(steps(), (Steps{3, 2, 1}));
  EXPECT_TRUE(fs::exists(checkpoint(4).string() + ".abandoned"));
}

TEST_F(RunFolderTest, ANamedDamagedOneIsAnError) {
  make_run({1, 2});
  fs::remove(checkpoint(2) / "state.json");
  EXPECT_EQ(data_error_text([&] { go_on({.from = checkpoint(2)}); }),
            checkpoint(2).string() + "/state.json: the file is missing");
  EXPECT_EQ(steps(), (Steps{2, 1}));
}

TEST_F(RunFolderTest, NoneThatLoadsIsAnError) {
  make_run({1});
  write_file_atomically(checkpoint(1) / "state.json", "{");
  EXPECT_EQ(error_text([&] { go_on(); }),
            (path_ / "checkpoints").string() +
                ": none of its 1 checkpoints can be loaded; begin anew in another folder");
}

TEST_F(RunFolderTest, OtherErrorsOfLoadingAreNotPassedOver) {
  make_run({1, 2});
  open();
  EXPECT_EQ(error_text([&] { run_->resume([](auto&&...) { throw UserError("no memory"); }); }),
            "no memory");
}

TEST_F(RunFolderTest, RefusesAnotherConfigAndLeavesEverythingAsItWas) {
  make_run({1});
  config_.values["run"]["seed"] = 7;
  config_.toml = "# another\n";
  EXPECT_NE(error_text([&] { go_on(); }).find("\n  run.seed: 0 -> 7\n"), std::string::npos);
  EXPECT_EQ(read_file(path_ / "config.toml"), "# config\n");
  EXPECT_EQ(go_on({.from = {}, .allow_config_change = true}), 1);
  EXPECT_TRUE(logged("config changed: run.seed: 0 -> 7; the run is no longer"));
  EXPECT_EQ(read_file(path_ / "config.toml"), "# another\n");
}

TEST_F(RunFolderTest, ShowsAHarmlessChange) {
  make_run({1});
  config_.values["sample"]["every"] = 5;
  EXPECT_EQ(go_on(), 1);
  EXPECT_TRUE(logged("config changed: sample.every: 0 -> 5"));
}

TEST_F(RunFolderTest, RefusesTheRunOfAnotherCommand) {
  make_run({1});
  config_.command = "train-vae";
  EXPECT_EQ(error_text([&] { go_on(); }),
            checkpoint(1).string() +
                ": is of a run of `crescendo train`; expected one of `crescendo train-vae`");
}

TEST_F(RunFolderTest, WarnsOfAnotherVersion) {
  make_run({1});
  Json state = read_checkpoint_state(checkpoint(1));
  state["versions"]["torch"] = "0.1";
  fs::remove_all(checkpoint(1));
  write_checkpoint(
      checkpoint(1),
      {.step = 1, .state = state, .files = {{"weights.safetensors", {{"w", at::ones({})}}}}});
  EXPECT_EQ(go_on(), 1);
  EXPECT_TRUE(logged("\"torch\":\"0.1\"}, this is {"));
}

TEST_F(RunFolderTest, IsFinishedWhenItsModelIsOfTheLastStep) {
  make_run({5});
  open();
  EXPECT_FALSE(run_->finished(5)) << "the model was not written";
  fs::create_directory(path_ / "model");
  EXPECT_FALSE(run_->finished(5)) << "this may be the model of an earlier end";
  run_->finish(5);
  EXPECT_TRUE(run_->finished(5));
  EXPECT_TRUE(run_->finished(4));
  EXPECT_FALSE(run_->finished(6));
  EXPECT_EQ(resume(), 5);
  EXPECT_FALSE(run_->finished(5)) << "it goes on, and the model will not be of its last step";
}

TEST_F(RunFolderTest, AFinishedRunOfAnotherConfigIsRefusedToo) {
  make_run({5});
  open();
  fs::create_directory(path_ / "model");
  run_->finish(5);
  config_.values["run"]["seed"] = 7;
  open();
  EXPECT_NE(error_text([&] { run_->finished(5); }).find("run.seed: 0 -> 7"), std::string::npos);
}

TEST_F(RunFolderTest, DeletesWhatAKilledWriteLeft) {
  make_run({1});
  const fs::path half = path_ / "checkpoints" / "step-00000002.123.crescendo-tmp";
  const fs::path file = path_ / "config.toml.123.crescendo-tmp";
  write_file_atomically(half / "weights", "half");
  write_file_atomically(file, "half");
  open();
  EXPECT_FALSE(fs::exists(half));
  EXPECT_FALSE(fs::exists(file));
  EXPECT_EQ(steps(), Steps{1});
}

TEST_F(RunFolderTest, ANamedEarlierOneAbandonsWhatCameAfter) {
  make_run({1, 2, 3});
  keep_.keep = 1;
  EXPECT_EQ(go_on({.from = checkpoint(1)}), 1);
  EXPECT_EQ(steps(), Steps{1});
  EXPECT_TRUE(fs::exists(checkpoint(3).string() + ".abandoned/weights.safetensors"));
  EXPECT_EQ(read_file(path_ / "metrics.jsonl"), "{\"step\":1,\"loss\":0.5}\n");
  save({2});
  EXPECT_EQ(steps(), Steps{2});
}

TEST_F(RunFolderTest, KeepsTheNewest) {
  keep_.keep = 2;
  make_run({5, 10, 15, 20});
  EXPECT_EQ(steps(), (Steps{20, 15}));
  EXPECT_EQ(std::distance(fs::directory_iterator(path_ / "checkpoints"), {}), 2);
}

TEST_F(RunFolderTest, KeepsMultiplesAsWell) {
  keep_ = {.keep = 1, .keep_every = 10};
  make_run({5, 10, 15, 20, 25});
  EXPECT_EQ(steps(), (Steps{25, 20, 10}));
}

TEST_F(RunFolderTest, KeepZeroKeepsAll) {
  make_run({5, 10, 15, 20});
  EXPECT_EQ(steps(), (Steps{20, 15, 10, 5}));
}

TEST_F(RunFolderTest, AFailedCheckpointLeavesTheOldOneAndTheNextMaySucceed) {
  keep_.keep = 1;
  go_on();
  save({4});
  // A file in the place of a folder: what root meets, too.
  fs::rename(path_ / "checkpoints", path_ / "moved");
  write_file_atomically(path_ / "checkpoints", "a file");
  run_->save_checkpoint(5, {}, {});
  EXPECT_TRUE(error_text([&] { run_->require_saved(); })
                  .starts_with("the last checkpoint could not be written: " +
                               (path_ / "checkpoints").string()));
  EXPECT_EQ(run_->saved_step(), 4);
  EXPECT_TRUE(logged("step 5: THE CHECKPOINT COULD NOT BE WRITTEN: "));
  fs::remove(path_ / "checkpoints");
  fs::rename(path_ / "moved", path_ / "checkpoints");
  EXPECT_EQ(steps(), Steps{4});
  save({6});
  EXPECT_EQ(error_text([&] { run_->require_saved(); }), "");
  EXPECT_EQ(steps(), Steps{6});
}

TEST_F(RunFolderTest, AVanishedFolderIsMadeAnew) {
  go_on();
  fs::rename(path_, folder_ / "gone");
  save({4});
  EXPECT_EQ(steps(), Steps{4});
}

TEST_F(RunFolderTest, SavesWhatTheWeightsWere) {
  go_on();
  const at::Tensor weight = at::zeros({1000});
  run_->save_checkpoint(1, {}, {{"weights.safetensors", {{"w", weight}}}});
  weight.fill_(1);
  EXPECT_EQ(run_->saved_step(), 1);
  EXPECT_TRUE(load_tensors(checkpoint(1) / "weights.safetensors").at("w").equal(at::zeros({1000})));
}

}  // namespace
}  // namespace crescendo::pipelines
