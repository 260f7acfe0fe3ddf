#include "dataloader/sample_stream.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "tests/core/error_text.h"
#include "tests/dataloader/shard_folder.h"

namespace crescendo::dataloader {

namespace {

SampleStream::Options options_for(const ShardFolder& data, std::size_t buffer = 4,
                                  std::uint64_t seed = 1) {
  return {.shards = data.shards(), .seed = seed, .buffer = buffer, .max_sample_bytes = 1 << 20};
}

/// A step as text, with the position behind it: "0-1@0 (0,1,1)", or "end (1,0,7)".
std::string describe(const StreamItem& item) {
  const std::string after =
      fmt::format("({},{},{})", item.after.epoch, item.after.sample, item.after.ordinal);
  if (!item.sample) return fmt::format("end {}", after);
  const std::string& name = item.sample->defect ? item.sample->defect->cause : item.sample->key;
  return fmt::format("{}@{} {}", name, item.ordinal, after);
}

struct Step {
  std::string text;
  Position after;

  bool operator==(const Step&) const = default;
};

std::vector<Step> steps_of(const SampleStream::Options& options, const Position& start,
                           std::size_t count) {
  SampleStream stream(options, start);
  std::vector<Step> steps;
  while (steps.size() < count) {
    const auto item = stream.next();
    if (!item) break;
    steps.push_back({describe(*item), item->after});
  }
  return steps;
}

/// The keys of each of the first epochs.
std::vector<std::vector<std::string>> epochs_of(const SampleStream::Options& options,
                                                std::size_t count) {
  SampleStream stream(options, {});
  std::vector<std::vector<std::string>> epochs(1);
  for (;;) {
    const auto item = stream.next();
    if (!item) return epochs;
    if (item->sample) {
      epochs.back().push_back(item->sample->key);
    } else if (epochs.size() == count) {
      return epochs;
    } else {
      epochs.emplace_back();
    }
  }
}

std::vector<std::string> sorted(std::vector<std::string> keys) {
  std::ranges::sort(keys);
  return keys;
}

TEST(SampleStreamTest, GivesEachSampleOnceAnEpoch) {
  const ShardFolder data({3, 0, 5, 1, 4});
  for (const std::size_t buffer : {1U, 2U, 7U, 100U}) {
    const auto epochs = epochs_of(options_for(data, buffer), 4);
    for (const auto& keys : epochs) EXPECT_EQ(sorted(keys), sorted(data.keys())) << buffer;
  }
}

TEST(SampleStreamTest, OrdersEveryEpochAndSeedAnew) {
  const ShardFolder data({3, 5, 4, 4});
  const auto epochs = epochs_of(options_for(data), 3);
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
  EXPECT_EQ(epochs, epochs_of(options_for(data), 3));
  EXPECT_NE(epochs[0], epochs_of(options_for(data, 4, 2), 1)[0]);
}

TEST(SampleStreamTest, ABufferOfOneKeepsTheOrderWithinShards) {
  const ShardFolder data({3, 3, 3});
  const auto keys = epochs_of(options_for(data, 1), 1)[0];
  for (std::size_t i = 0; i < keys.size(); ++i) {
    EXPECT_EQ(keys[i].substr(2), std::to_string(i % 3));
  }
}

TEST(SampleStreamTest, ALargeBufferMixesShards) {
  const ShardFolder data({10, 10});
  const auto keys = epochs_of(options_for(data, 20), 1)[0];
  std::size_t changes = 0;
  for (std::size_t i = 1; i < keys.size(); ++i) changes += keys[i][0] != keys[i - 1][0] ? 1 : 0;
  EXPECT_GT(changes, 3U);
}

TEST(SampleStreamTest, OncePassesInTheOrderOfTheShards) {
  const ShardFolder data({2, 0, 3});
  SampleStream::Options options = options_for(data);
  options.order = Order::kOnce;
  EXPECT_EQ(epochs_of(options, 1)[0], data.keys());
  const auto steps = steps_of(options, {}, 100);
  ASSERT_EQ(steps.size(), 6U);
  EXPECT_EQ(steps[0].text, "0-0@0 (0,1,1)");
  EXPECT_EQ(steps[4].text, "2-2@4 (0,5,5)");
  EXPECT_EQ(steps[5].text, "end (1,0,5)");
}

void expect_resumes_everywhere(const SampleStream::Options& options, std::size_t count) {
  const auto whole = steps_of(options, {}, count);
  for (std::size_t i = 0; i < whole.size(); ++i) {
    const auto rest = steps_of(options, whole[i].after, whole.size() - i - 1);
    ASSERT_EQ(rest,
              std::vector<Step>(whole.begin() + static_cast<std::ptrdiff_t>(i) + 1, whole.end()))
        << "after " << whole[i].text;
  }
}

TEST(SampleStreamTest, ResumesFromEveryPosition) {
  const ShardFolder data({3, 0, 4, 2});
  for (const std::size_t buffer : {1U, 3U, 50U}) {
    expect_resumes_everywhere(options_for(data, buffer), 32);
  }
}

TEST(SampleStreamTest, ResumesOnceFromEveryPosition) {
  const ShardFolder data({3, 2});
  SampleStream::Options options = options_for(data);
  options.order = Order::kOnce;
  expect_resumes_everywhere(options, 5);
}

TEST(SampleStreamTest, ResumesFromEveryPositionAmongDamage) {
  ShardFolder data({3, 2});
  Bytes cut = tar_of({{"x.txt", "whole"}, {"y.txt", "lost"}});
  cut.resize(1024 + 100);
  data.add(cut);
  data.add(bytes_of("no tar at all"));
  expect_resumes_everywhere(options_for(data, 3), 25);
}

TEST(SampleStreamTest, GivesOneDefectForADamagedShard) {
  ShardFolder data({2});
  Bytes cut = tar_of({{"x.txt", "whole"}, {"y.txt", "lost"}, {"z.txt", "lost"}});
  cut[1024] ^= std::byte{1};  // the header of y.txt, so that x.txt may have been cut too
  data.add(cut);
  data.add({});
  SampleStream::Options options = options_for(data);
  options.order = Order::kOnce;
  options.shards.push_back("/nowhere.tar");
  SampleStream stream(options, {});
  std::vector<std::string> texts;
  while (const auto item = stream.next()) {
    if (!item->sample) break;
    const auto& defect = item->sample->defect;
    texts.push_back(defect ? defect->cause + ": " + defect->detail : item->sample->key);
  }
  ASSERT_EQ(texts.size(), 5U);
  EXPECT_EQ(texts[1], "0-1");
  const std::string hint = "; the shard is cut short or damaged, copy or pack it again";
  EXPECT_EQ(texts[2], "damaged shard: " + data.shards()[1] +
                          ": Damaged tar archive (byte 1536, at or after member 'x.txt')" + hint);
  EXPECT_EQ(texts[3], "damaged shard: " + data.shards()[2] +
                          ": the file is empty; expected a tar archive (byte 0)" + hint);
  EXPECT_EQ(texts[4], "damaged shard: /nowhere.tar: cannot open: No such file or directory");
}

TEST(SampleStreamTest, RefusesAPositionBeyondTheData) {
  const ShardFolder data({3, 2});
  EXPECT_EQ(error_text([&] {
              steps_of(options_for(data), {7, 9, 44}, 1);
            }),
            "data.shards: the run was at sample 9 of epoch 7, but the shards hold 5; they have "
            "changed since, resume with the data that the run began with");
  EXPECT_EQ(steps_of(options_for(data), {7, 5, 40}, 1)[0].text, "end (8,0,40)");
}

TEST(SampleStreamTest, AnEpochWithoutSamplesOnlyEnds) {
  const ShardFolder data({0, 0});
  EXPECT_EQ(steps_of(options_for(data), {}, 2)[1].text, "end (2,0,0)");
}

}  // namespace

}  // namespace crescendo::dataloader
