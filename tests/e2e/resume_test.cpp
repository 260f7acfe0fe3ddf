#include <chrono>
#include <csignal>
#include <fstream>
#include <map>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "tests/e2e/program.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

constexpr int kSteps = 200;

/// The lines of metrics.jsonl without the time and the memory that each step took.
std::vector<nlohmann::json> metrics_of(const fs::path& run) {
  std::vector<nlohmann::json> entries;
  std::ifstream lines(run / "metrics.jsonl");
  for (std::string line; std::getline(lines, line);) {
    entries.push_back(nlohmann::json::parse(line));
    for (const char* key : {"seconds", "data_seconds", "memory"}) entries.back().erase(key);
  }
  return entries;
}

std::size_t count_lines(const fs::path& file) {
  std::size_t count = 0;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) ++count;
  return count;
}

/// Every file below a folder, by its path there.
std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    files[fs::relative(entry.path(), folder).string()] = content_of(entry.path());
  }
  return files;
}

void expect_same_files(const fs::path& folder, const fs::path& expected) {
  const auto left = files_of(folder);
  const auto right = files_of(expected);
  ASSERT_EQ(left.size(), right.size());
  ASSERT_FALSE(right.empty());
  for (const auto& [name, bytes] : right) {
    const auto found = left.find(name);
    ASSERT_NE(found, left.end()) << name;
    EXPECT_TRUE(found->second == bytes) << name << " differs";
  }
}

/// Runs until metrics.jsonl has `lines` lines, then kills.
void run_and_kill(const std::vector<std::string>& arguments, const fs::path& run,
                  std::size_t lines) {
  Program program(arguments);
  while (!program.ended() && count_lines(run / "metrics.jsonl") < lines) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  program.kill();
  const Outcome outcome = program.wait();
  ASSERT_EQ(outcome.signal, SIGKILL) << "it ended before it could be killed\n" << outcome.err;
}

enum class Data { kStreamed, kIndexed, kBucketed, kCached };

/// The workshop's shards, in a way that leaves the loader no choice of how to read them.
std::string shards_as(Data data, const fs::path& folder) {
  if (data == Data::kBucketed) return "\"" + pack_mixed_shapes(folder) + "\"";
  if (data == Data::kCached) return "\"" + workshop().shards + "\"";
  const fs::path source = fs::path(workshop().shards).parent_path();
  if (data == Data::kStreamed) {
    return fmt::format("\"pipe:cat {}/00000{{0..2}}.tar\"", source.string());
  }
  fs::create_directories(folder / "indexed");
  for (const auto& entry : fs::directory_iterator(source)) {
    fs::copy(entry.path(), folder / "indexed", fs::copy_options::skip_existing);
  }
  const std::string glob = (folder / "indexed/*.tar").string();
  const Outcome outcome = crescendo({"index", glob});
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  return "\"" + glob + "\"";
}

std::vector<std::string> arguments_of(const fs::path& folder, const std::string& name, Data data) {
  const bool cached = data == Data::kCached;
  const fs::path config = folder / (name + ".toml");
  write_train_config(config, folder / name, "text");
  return with_overrides(
      {"train", config.string()},
      {fmt::format("data.shards=[{}]", shards_as(data, folder)),
       fmt::format("train.max_train_steps={}", kSteps), "checkpoint.every=20", "sample.every=0",
       "train.lr_scheduler=cosine", "train.lr_warmup_steps=10", "train.ema_decay=0.99",
       "train.proportion_empty_prompts=0.3", "train.gradient_accumulation_steps=2",
       "train.train_batch_size=3", "unet.dropout=0.1",
       fmt::format("curriculum.pacing.patience={}", data == Data::kBucketed ? 8 : 15),
       "curriculum.pacing.ema=0.5", "data.shuffle_buffer=7",
       fmt::format("train.cache_latents={}", cached), fmt::format("data.random_flip={}", !cached),
       fmt::format("data.center_crop={}", cached),
       fmt::format("data.enable_bucket={}", data == Data::kBucketed), "data.bucket_reso_steps=4"});
}

/// An uninterrupted run, and one that is killed once it has written each of `kills` lines.
void compare(Data data, const std::vector<std::size_t>& kills) {
  const TemporaryFolder folder;
  const fs::path whole = folder / "whole";
  const fs::path pieces = folder / "pieces";
  const Outcome uninterrupted = crescendo(arguments_of(folder.path(), "whole", data));
  ASSERT_EQ(uninterrupted.exit_code, 0) << uninterrupted.err;

  std::vector<std::string> arguments = arguments_of(folder.path(), "pieces", data);
  for (const std::size_t lines : kills) {
    run_and_kill(arguments, pieces, lines);
    if (arguments.back() != "--resume") arguments.emplace_back("--resume");
  }
  const Outcome resumed = crescendo(arguments);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("resumes at step "), std::string::npos) << resumed.err;

  const auto expected = metrics_of(whole);
  EXPECT_EQ(metrics_of(pieces), expected);
  std::map<std::string, int> events;
  for (const nlohmann::json& entry : expected) ++events[entry.value("event", "")];
  EXPECT_EQ(events[""], kSteps);
  EXPECT_GE(events["stage"], 2) << "the curriculum was not tested";
  EXPECT_EQ(events["clusters"], kSteps / 50);
  const std::string last = fmt::format("step-{:08}", kSteps);
  expect_same_files(pieces / "checkpoints" / last, whole / "checkpoints" / last);
  EXPECT_EQ(files_of(whole / "checkpoints" / last).size(), 4U);
  expect_same_files(pieces / "model", whole / "model");
}

TEST(ResumeTest, KilledTwiceEqualsUninterruptedWhenStreamed) {
  compare(Data::kStreamed, {53, 128});
}

TEST(ResumeTest, KilledTwiceEqualsUninterruptedWhenIndexed) { compare(Data::kIndexed, {53, 128}); }

TEST(ResumeTest, KilledTwiceEqualsUninterruptedInBuckets) { compare(Data::kBucketed, {53, 128}); }

TEST(ResumeTest, KilledEqualsUninterruptedWhenCached) { compare(Data::kCached, {87}); }

TEST(ResumeTest, KilledBeforeTheFirstCheckpointBeginsAnew) {
  const TemporaryFolder folder;
  const fs::path run = folder / "run";
  write_train_config(folder / "c.toml", run, "none");
  const std::vector<std::string> arguments = with_overrides(
      {"train", (folder / "c.toml").string()}, {"checkpoint.every=1000", "sample.every=0"});
  run_and_kill(with_overrides(arguments, {"train.max_train_steps=1000"}), run, 10);
  std::vector<std::string> again = with_overrides(arguments, {"train.max_train_steps=12"});
  again.emplace_back("--resume");
  const Outcome resumed = crescendo(again);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_NE(resumed.err.find("no checkpoint yet; begins at step 0"), std::string::npos);
  std::vector<std::int64_t> steps;
  for (const nlohmann::json& entry : metrics_of(run)) {
    if (entry.contains("loss")) steps.push_back(entry["step"]);
  }
  EXPECT_EQ(steps, (std::vector<std::int64_t>{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}));
}

void compare_autoencoders(const fs::path& folder, const std::vector<std::string>& overrides) {
  std::vector<std::vector<std::string>> arguments;
  for (const char* name : {"whole", "pieces"}) {
    const fs::path config = folder / (std::string(name) + ".toml");
    write_vae_config(config, folder / name, workshop().shards);
    arguments.push_back(with_overrides(with_overrides({"train-vae", config.string()}, overrides),
                                       {"train.max_train_steps=40", "checkpoint.every=5"}));
  }
  ASSERT_EQ(crescendo(arguments[0]).exit_code, 0);
  run_and_kill(arguments[1], folder / "pieces", 13);
  arguments[1].emplace_back("--resume");
  const Outcome resumed = crescendo(arguments[1]);
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  EXPECT_EQ(metrics_of(folder / "pieces"), metrics_of(folder / "whole"));
  expect_same_files(folder / "pieces" / "checkpoints" / "step-00000040",
                    folder / "whole" / "checkpoints" / "step-00000040");
  expect_same_files(folder / "pieces" / "model", folder / "whole" / "model");
}

TEST(ResumeTest, AutoencoderGoesOnBitForBit) {
  const TemporaryFolder folder;
  compare_autoencoders(folder.path(), {});
}

TEST(ResumeTest, AutoencoderGoesOnBitForBitInBuckets) {
  const TemporaryFolder folder;
  compare_autoencoders(folder.path(), bucketed(pack_mixed_shapes(folder.path())));
}

}  // namespace
}  // namespace crescendo::e2e
