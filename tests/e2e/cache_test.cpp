#include <chrono>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "tests/e2e/program.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

class CacheTest : public testing::TestWithParam<const char*> {
 protected:
  CacheTest() { write_train_config(config_, folder_ / "streamed", GetParam()); }

  Outcome cache(const std::vector<std::string>& overrides = {}) {
    return crescendo(
        with_overrides({"cache", config_.string(), "--out", cached_.string()}, overrides));
  }

  Outcome verify(const std::vector<std::string>& overrides) {
    return crescendo(with_overrides(
        {"cache", config_.string(), "--out", cached_.string(), "--verify"}, overrides));
  }

  Outcome train(const std::string& run, std::vector<std::string> overrides) {
    overrides.push_back("run.output_dir=" + (folder_ / run).string());
    return crescendo(with_overrides({"train", config_.string()}, overrides));
  }

  std::string shards() const { return "data.shards=[\"" + cached_.string() + "/*.tar\"]"; }

  std::string weights_of(const std::string& run, int step = 6) const {
    return read_file(folder_ / run / "checkpoints" / fmt::format("step-{:08}", step) /
                     "weights.safetensors");
  }

  TemporaryFolder folder_;
  fs::path config_ = folder_ / "train.toml";
  fs::path cached_ = folder_ / "latents";
};

TEST_P(CacheTest, TrainsAsTheSourceDoes) {
  const Outcome made = cache();
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_EQ(made.out.find("cached 24 samples in 1 shards\n"), 0U) << made.out;
  ASSERT_EQ(train("streamed", {}).exit_code, 0);
  const Outcome cached = train("cached", {shards()});
  ASSERT_EQ(cached.exit_code, 0) << cached.err;
  EXPECT_NE(cached.err.find("latents of the cache " + cached_.string()), std::string::npos);
  EXPECT_TRUE(weights_of("cached") == weights_of("streamed"));
}

TEST_P(CacheTest, TrainsAsTheSourceDoesInBuckets) {
  std::vector<std::string> overrides = bucketed(pack_mixed_shapes(folder_.path()));
  overrides.emplace_back("train.max_train_steps=30");
  const Outcome made = cache(overrides);
  ASSERT_EQ(made.exit_code, 0) << made.err;
  EXPECT_EQ(made.out.find("cached 33 samples in 1 shards\n"), 0U) << made.out;
  const Outcome streamed = train("streamed", overrides);
  ASSERT_EQ(streamed.exit_code, 0) << streamed.err;
  EXPECT_NE(streamed.err.find("buckets, width x height: 8x32, "), std::string::npos);
  overrides[0] = shards();
  const Outcome cached = train("cached", overrides);
  ASSERT_EQ(cached.exit_code, 0) << cached.err;
  EXPECT_TRUE(weights_of("cached", 30) == weights_of("streamed", 30));
}

TEST_P(CacheTest, HalfPrecisionIsCloseAndSmaller) {
  ASSERT_EQ(cache().exit_code, 0);
  const auto size = fs::file_size(cached_ / "000000.tar");
  fs::remove_all(cached_);
  ASSERT_EQ(crescendo({"cache", config_.string(), "--out", cached_.string(), "--dtype", "float16"})
                .exit_code,
            0);
  EXPECT_LT(fs::file_size(cached_ / "000000.tar"), size);
  EXPECT_EQ(train("cached", {shards()}).exit_code, 0);
}

TEST(CachedLabelTest, ComesFromWhereverTheSourceHasIt) {
  const TemporaryFolder folder;
  const fs::path source = folder / "source";
  make_pictures(folder / "pictures");
  std::string rows;
  for (const auto& entry : fs::recursive_directory_iterator(folder / "pictures")) {
    if (entry.path().extension() != ".png") continue;
    const std::string name = fs::relative(entry.path(), folder / "pictures").string();
    rows += R"({"file_name": ")" + name + R"(", "kind": ")" +
            entry.path().parent_path().filename().string() + "\"}\n";
  }
  write_file_atomically(folder / "pictures" / "metadata.jsonl", rows);
  ASSERT_EQ(crescendo({"pack", (folder / "pictures").string(), "--out", source.string()}).exit_code,
            0);
  const fs::path config = folder / "train.toml";
  write_train_config(config, folder / "run", "class");
  const auto with_shards = [&](const fs::path& shards) {
    return std::vector<std::string>{"data.label=json:kind",
                                    "data.shards=[\"" + (shards / "*.tar").string() + "\"]"};
  };
  const Outcome made = crescendo(with_overrides(
      {"cache", config.string(), "--out", (folder / "latents").string()}, with_shards(source)));
  ASSERT_EQ(made.exit_code, 0) << made.err;
  const Outcome trained =
      crescendo(with_overrides({"train", config.string()}, with_shards(folder / "latents")));
  EXPECT_EQ(trained.exit_code, 0) << trained.err;
  EXPECT_EQ(trained.err.find("skipped"), std::string::npos) << trained.err;
}

INSTANTIATE_TEST_SUITE_P(Kinds, CacheTest, testing::Values("none", "class", "text"));

class StaleCacheTest : public CacheTest {
 protected:
  void expect_stale(const std::string& problem, std::vector<std::string> overrides = {}) {
    overrides.push_back(shards());
    const Outcome outcome = train("run", overrides);
    EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
    EXPECT_NE(outcome.err.find((cached_ / "cache.json").string() +
                               ": the cache is stale; make it anew with `crescendo cache`\n"),
              std::string::npos)
        << outcome.err;
    EXPECT_NE(outcome.err.find(problem), std::string::npos) << outcome.err;
  }
};

TEST_P(StaleCacheTest, WhatDiffersIsListed) {
  const fs::path copy = folder_ / "source.tar";
  const Outcome inspected = crescendo({"inspect", workshop().shards, "--json"});
  ASSERT_EQ(inspected.exit_code, 0);
  fs::copy_file(fs::path(workshop().shards).parent_path() / "000000.tar", copy);
  ASSERT_EQ(cache({"data.shards=[\"" + copy.string() + "\"]"}).exit_code, 0);
  expect_stale("\n  data.resolution: made with 16, this run has 8", {"data.resolution=8"});
  expect_stale("\n  data.enable_bucket: made with null, this run has [[",
               {"data.enable_bucket=true", "data.bucket_reso_steps=4"});
  expect_stale("\n  text_encoder.max_length: made with", {"text_encoder.max_length=5"});
  expect_stale("\n  data.caption: made with \"txt\", this run has \"json:x\"",
               {"data.caption=json:x"});
  expect_stale("\n  data.caption_line: made with \"all\", this run has \"first\"",
               {"data.caption_line=first"});
  const std::string source = "data.shards=[\"" + copy.string() + "\"]";
  const std::string bytes = read_file(copy);
  const auto modified = fs::last_write_time(copy);
  fs::last_write_time(copy, modified + std::chrono::hours(1));  // as of a copy
  EXPECT_EQ(train("copied", {shards()}).exit_code, 0);
  std::string other = bytes;
  other[1000] ^= 1;
  write_file_atomically(copy, other);
  expect_stale("\n  " + copy.string() + ": changed since");
  // With the old time, reading the content alone tells.
  fs::last_write_time(copy, modified);
  const Outcome stale = verify({source});
  EXPECT_EQ(stale.exit_code, 2);
  EXPECT_NE(stale.err.find("\n  " + copy.string() + ": changed since"), std::string::npos);
  write_file_atomically(copy, bytes);
  EXPECT_EQ(verify({source}).out, cached_.string() + " is up to date\n");
  fs::remove(copy);
  EXPECT_EQ(train("run", {shards()}).exit_code, 0);
}

TEST_P(StaleCacheTest, OfOtherBuckets) {
  ASSERT_EQ(cache(bucketed(pack_mixed_shapes(folder_.path()))).exit_code, 0);
  expect_stale("\n  data.enable_bucket: made with [[");
  expect_stale("\n  data.enable_bucket: made with [[",
               {"data.enable_bucket=true", "data.bucket_reso_steps=8"});
}

TEST_P(StaleCacheTest, WhatCannotBeCached) {
  const Outcome flipped = cache({"data.random_flip=true"});
  EXPECT_EQ(flipped.exit_code, 2);
  EXPECT_NE(flipped.err.find("a sample is encoded once"), std::string::npos) << flipped.err;
  ASSERT_EQ(cache().exit_code, 0);
  const Outcome again = cache();
  EXPECT_EQ(again.exit_code, 2);
  EXPECT_NE(again.err.find(": expected a folder that is empty or does not exist, for the cache"),
            std::string::npos)
      << again.err;
  const Outcome of_a_cache = crescendo(with_overrides(
      {"cache", config_.string(), "--out", (folder_ / "other").string()}, {shards()}));
  EXPECT_EQ(of_a_cache.exit_code, 2);
  EXPECT_NE(of_a_cache.err.find("expected pictures to encode, found a cache"), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(Text, StaleCacheTest, testing::Values("text"));

}  // namespace
}  // namespace crescendo::e2e
