#include <fstream>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "tests/e2e/program.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

void expect_says(const Outcome& outcome, const std::string& text) {
  EXPECT_NE(outcome.err.find(text), std::string::npos)
      << "expected: " << text << "\nfound: " << outcome.err;
}

/// Shards with something wrong in them, and a training of two steps on them.
class BadDataTest : public testing::Test {
 protected:
  BadDataTest() { make_pictures(pictures_); }

  void pack() const {
    const Outcome outcome = crescendo({"pack", pictures_.string(), "--out",
                                       (folder_ / "shards").string(), "--max-samples", "12"});
    ASSERT_EQ(outcome.exit_code, 0) << outcome.err;
  }

  Outcome train(const std::string& shards, std::vector<std::string> overrides = {},
                const std::string& conditioning = "text") const {
    write_train_config(folder_ / "c.toml", folder_ / "run", conditioning);
    // Batches of all there is, in one stream, so that every sample is met once an epoch.
    overrides.insert(overrides.begin(),
                     {fmt::format("data.shards=[{}]", shards), "data.streams=1",
                      "train.train_batch_size=24", "train.max_train_steps=2", "sample.every=0"});
    return crescendo(with_overrides({"train", (folder_ / "c.toml").string()}, overrides));
  }

  std::string shard(const std::string& name) const {
    return fmt::format("\"{}\"", (folder_ / "shards" / name).string());
  }

  void expect_trained(const Outcome& outcome) const {
    EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
    EXPECT_TRUE(fs::exists(folder_ / "run" / "model" / "model_index.json"));
  }

  TemporaryFolder folder_;
  fs::path pictures_ = folder_ / "pictures";
};

TEST_F(BadDataTest, MissingShardIsNamed) {
  pack();
  const Outcome outcome = train(shard("{000000..000002}.tar"));
  EXPECT_EQ(outcome.exit_code, 2);
  expect_says(outcome, "missing shards: " + (folder_ / "shards/000002.tar").string());
  expect_says(outcome, "holds 000000.tar, 000001.tar");
  const Outcome glob = train(shard("a*.tar"));
  EXPECT_EQ(glob.exit_code, 2);
  expect_says(glob, "a*.tar: no shard matches");
}

TEST_F(BadDataTest, EmptyShardAmongGoodOnesIsSkipped) {
  pack();
  write_file_atomically(folder_ / "shards" / "000009.tar", "");
  const Outcome outcome = train(shard("*.tar"));
  expect_trained(outcome);
  expect_says(outcome, "000009.tar: damaged shard: ");
  expect_says(outcome, "the file is empty; expected a tar archive");
  expect_says(outcome, "in this epoch 1 of 25 samples skipped: 1 damaged shard");
}

TEST_F(BadDataTest, NothingButAnEmptyShardIsAnError) {
  pack();
  write_file_atomically(folder_ / "shards" / "empty.tar", "");
  const Outcome outcome = train(shard("empty.tar"));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(error_line(outcome).starts_with(
      "data.shards: no usable sample; 1 of 1 samples skipped: 1 damaged shard; the first: "))
      << outcome.err;
}

TEST_F(BadDataTest, ShardWithoutSamplesIsAnError) {
  pack();
  write_file_atomically(folder_ / "shards" / "none.tar", std::string(10240, '\0'));
  const Outcome outcome = train(shard("none.tar"));
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_EQ(error_line(outcome),
            "data.shards: the shards hold no samples; expected members KEY.jpg, KEY.txt");
}

TEST_F(BadDataTest, TruncatedShardGivesWhatIsWhole) {
  pack();
  const fs::path cut = folder_ / "shards" / "000001.tar";
  const std::string before = content_of(cut).substr(0, 12'345);
  fs::resize_file(cut, 12'345);
  for (const bool cached : {false, true}) {
    const Outcome outcome =
        train(shard("*.tar"), {fmt::format("train.cache_latents={}", cached),
                               fmt::format("run.output_dir={}", (folder_ / "run").string())});
    expect_trained(outcome);
    expect_says(outcome, fmt::format("skipped {}: damaged shard: ", cut.string()));
    expect_says(outcome, "1 damaged shard");
    fs::remove_all(folder_ / "run");
  }
  EXPECT_EQ(content_of(cut), before);
}

TEST_F(BadDataTest, CorruptImagesAreSkippedCountedAndNamed) {
  write_file_atomically(pictures_ / "cups" / "x.jpg", "\xFF\xD8\xFF\xE0 no picture");
  write_file_atomically(pictures_ / "cups" / "x.txt", "a cup");
  fs::resize_file(pictures_ / "birds" / "03.png", 120);
  pack();
  const Outcome outcome = train(shard("*.tar"));
  expect_trained(outcome);
  expect_says(outcome, ": cups/x: corrupt image: JPEG: ");
  expect_says(outcome, ": birds/03: corrupt image: PNG: ");
  expect_says(outcome, "in this epoch 2 of 25 samples skipped: ");
  expect_says(outcome, "2 corrupt image");
  const Outcome inspected = crescendo({"inspect", (folder_ / "shards").string(), "--decode"});
  EXPECT_NE(inspected.out.find("problem_count: 2\n"), std::string::npos) << inspected.out;
  EXPECT_NE(inspected.out.find("cups/x: corrupt image"), std::string::npos) << inspected.out;
}

TEST_F(BadDataTest, SampleWithoutCaptionIsSkippedByTextModelsOnly) {
  fs::remove(pictures_ / "stars" / "05.txt");
  pack();
  const Outcome outcome = train(shard("*.tar"));
  expect_trained(outcome);
  expect_says(outcome, ": stars/05: no caption: expected a member txt, found png, cls");
  expect_says(outcome, "in this epoch 1 of 24 samples skipped: 1 no caption");
  fs::remove_all(folder_ / "run");
  const Outcome none = train(shard("*.tar"), {}, "none");
  expect_trained(none);
  EXPECT_EQ(none.err.find("skipped"), std::string::npos) << none.err;
}

TEST_F(BadDataTest, ClassBeyondTheModelsIsSkipped) {
  pack();
  const Outcome outcome =
      train(shard("*.tar"), {"data.class_names=[]", "unet.num_class_embeds=3"}, "class");
  expect_trained(outcome);
  expect_says(outcome, ": stars/00: class out of range: class 2; the model has 2 classes, 0 to 1");
  expect_says(outcome, "in this epoch 8 of 24 samples skipped: 8 class out of range");
}

TEST_F(BadDataTest, TooManyBadSamplesEndTheRun) {
  for (int i = 0; i < 120; ++i) {
    write_file_atomically(pictures_ / "cups" / fmt::format("bad{}.jpg", i), "\xFF\xD8 nothing");
  }
  pack();
  const Outcome outcome = train(shard("*.tar"), {}, "none");
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_TRUE(error_line(outcome).starts_with(
      "data.shards: too many unusable samples; data.max_bad_fraction is 0.1; "))
      << outcome.err;
  EXPECT_FALSE(fs::exists(folder_ / "run" / "model"));
}

TEST_F(BadDataTest, PackRefusesWhatIsThere) {
  pack();
  const std::string before = content_of(folder_ / "shards" / "000000.tar");
  const Outcome outcome =
      crescendo({"pack", pictures_.string(), "--out", (folder_ / "shards").string()});
  EXPECT_EQ(outcome.exit_code, 2);
  EXPECT_NE(error_line(outcome), "");
  EXPECT_TRUE(content_of(folder_ / "shards" / "000000.tar") == before);
  fs::create_directory(folder_ / "empty");
  const Outcome empty =
      crescendo({"pack", (folder_ / "empty").string(), "--out", (folder_ / "s").string()});
  EXPECT_EQ(empty.exit_code, 2);
  EXPECT_NE(error_line(empty), "");
  EXPECT_FALSE(fs::exists(folder_ / "s"));
}

}  // namespace
}  // namespace crescendo::e2e
