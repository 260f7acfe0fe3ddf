#include "dataloader/sample_stream.h"

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "tests/core/error_text.h"
#include "tests/dataloader/shard_folder.h"

namespace crescendo::dataloader {

namespace {

using Options = SampleStream::Options;

/// A step of a stream: "key@ordinal" or "end@ordinal".
struct Step {
  std::string text;
  Position after;

  bool operator==(const Step&) const = default;
};

Step step_of(StreamItem item) {
  Step step{"end", item.after};
  const std::uint64_t ordinal = item.ordinal;
  if (!item.is_end()) {
    const RawSample sample = std::move(item).load();
    step.text = sample.defect ? sample.defect->cause : sample.key;
  }
  step.text += fmt::format("@{}", ordinal);
  return step;
}

std::vector<Step> steps_of(const Options& options, const Position& start, std::size_t count) {
  SampleStream stream(options, start);
  std::vector<Step> steps;
  while (steps.size() < count) {
    std::optional<StreamItem> item = stream.next();
    if (!item) break;
    steps.push_back(step_of(std::move(*item)));
  }
  return steps;
}

/// What several ranks deliver, by ordinal: each goes `counts[rank]` steps from `start`.
std::map<std::uint64_t, std::string> delivered(Options options, const Position& start,
                                               const std::vector<std::size_t>& counts,
                                               Position* merged = nullptr) {
  std::map<std::uint64_t, std::string> all;
  std::vector<Position> positions;
  options.world_size = counts.size();
  for (options.rank = 0; options.rank < counts.size(); ++options.rank) {
    SampleStream stream(options, start);
    Position position = stream.position();
    for (std::size_t i = 0; i < counts[options.rank]; ++i) {
      StreamItem item = *stream.next();
      position = item.after;
      const std::uint64_t ordinal = item.ordinal;
      EXPECT_EQ(ordinal % counts.size(), options.rank);
      EXPECT_TRUE(all.emplace(ordinal, step_of(std::move(item)).text).second) << "twice";
    }
    positions.push_back(position);
    if (merged != nullptr && options.rank + 1 == counts.size()) *merged = stream.merge(positions);
  }
  return all;
}

/// The three kinds of data: read in streams, at random, and both of them by weight.
class SampleStreamTest : public testing::TestWithParam<std::string> {
 protected:
  SampleStreamTest() {
    if (GetParam() == "indexed") streamed_.index();
    options_ = {.sources = find_sources(streamed_.shards(), {}),
                .seed = 1,
                .streams = 4,
                .buffer = 12,
                .max_sample_bytes = 1 << 20};
    if (GetParam() == "weighted") {
      indexed_.index();
      options_.sources = {{.shards = streamed_.shards(), .weight = 3},
                          find_sources(indexed_.shards(), {})[0]};
    }
  }

  ShardFolder streamed_{{3, 0, 5, 1, 4, 7, 2}};
  ShardFolder indexed_{{4, 6, 3}};
  Options options_;
};

INSTANTIATE_TEST_SUITE_P(Kinds, SampleStreamTest,
                         testing::Values("streamed", "indexed", "weighted"),
                         [](const auto& kind) { return kind.param; });

TEST_P(SampleStreamTest, IsTheSameForEveryNumberOfRanks) {
  const auto expected = delivered(options_, {}, {120});
  EXPECT_EQ(delivered(options_, {}, {60, 60}), expected);
  EXPECT_EQ(delivered(options_, {}, {30, 30, 30, 30}), expected);
}

TEST_P(SampleStreamTest, DependsOnTheSeed) {
  const auto expected = delivered(options_, {}, {120});
  options_.seed = 2;
  EXPECT_NE(delivered(options_, {}, {120}), expected);
}

TEST_P(SampleStreamTest, ResumesFromEveryPosition) {
  const auto whole = steps_of(options_, {}, 130);
  ASSERT_GE(whole.back().after.epoch(), 2U);  // so that edges of epochs are among them
  for (std::size_t i = 0; i + 1 < whole.size(); ++i) {
    const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    const std::size_t count = std::min<std::size_t>(whole.size() - i - 1, 40);
    const std::vector<Step> rest(begin, begin + static_cast<std::ptrdiff_t>(count));
    ASSERT_EQ(steps_of(options_, whole[i].after, count), rest) << "after " << whole[i].text;
  }
}

TEST_P(SampleStreamTest, ResumesWithAnotherNumberOfRanks) {
  const auto expected = delivered(options_, {}, {400});
  // Ranks that skip bad samples run ahead of the others.
  Position position;
  auto seen = delivered(options_, {}, {21, 18}, &position);
  for (const std::vector<std::size_t>& counts : std::vector<std::vector<std::size_t>>{
           {3, 0, 1, 0}, {17, 14, 16, 17}, {20}, {9, 10}, {5}, {9, 9, 8, 9}}) {
    const auto more = delivered(options_, position, counts, &position);
    for (const auto& [ordinal, text] : more) {
      ASSERT_TRUE(seen.emplace(ordinal, text).second) << ordinal << " again";
    }
  }
  for (const auto& [ordinal, text] : delivered(options_, position, {30})) {
    ASSERT_TRUE(seen.emplace(ordinal, text).second) << ordinal << " again";
  }
  for (const auto& [ordinal, text] : seen) ASSERT_EQ(text, expected.at(ordinal));
  for (std::uint64_t ordinal = 0; ordinal < 180; ++ordinal) {
    ASSERT_TRUE(seen.contains(ordinal)) << ordinal << " is lost";
  }
}

TEST_P(SampleStreamTest, ReadsNothingAgainButTheCurrentShardOfEachStream) {
  const auto whole = steps_of(options_, {}, 5000);
  for (const std::size_t at : {0U, 17U, 999U, 4998U}) {
    SampleStream stream(options_, whole[at].after);
    std::uint64_t in_shards = 0;
    for (const LanePosition& lane : stream.position().lanes) in_shards += lane.sample;
    while (stream.next()->ordinal < at + 40) {
    }
    EXPECT_LE(stream.reread(), GetParam() == "indexed" ? 0U : in_shards);
    EXPECT_LE(stream.reread(), 4 * 7U);  // four streams, the largest shard
  }
}

TEST(SampleStreamOrderTest, GivesEachSampleOnceAnEpochAndLane) {
  const ShardFolder data({3, 0, 5, 1, 4, 7, 2});
  for (const std::size_t streams : {1U, 2U, 4U, 9U}) {
    for (const std::size_t buffer : {1U, 8U, 100U}) {
      SampleStream stream({.sources = {{.shards = data.shards()}},
                           .seed = 3,
                           .streams = streams,
                           .buffer = buffer,
                           .max_sample_bytes = 1 << 20},
                          {});
      std::map<std::uint64_t, std::multiset<std::string>> epochs;
      const std::size_t lanes = stream.position().lanes.size();
      EXPECT_EQ(lanes, std::min<std::size_t>(streams, 7));
      for (std::uint64_t slowest = 0; slowest < 4;) {
        StreamItem item = *stream.next();
        slowest = item.after.epoch();
        const std::uint64_t epoch = item.after.lanes[item.ordinal % lanes].epoch;
        epochs[epoch].insert(std::move(item).load().key);
      }
      const std::multiset<std::string> keys(data.keys().begin(), data.keys().end());
      for (std::uint64_t epoch = 0; epoch < 4; ++epoch) {
        EXPECT_EQ(epochs[epoch], keys) << epoch << ", streams " << streams;
      }
    }
  }
}

TEST(SampleStreamOrderTest, AnIndexedEpochIsAPermutationOfTheWhole) {
  const ShardFolder data({3, 0, 5, 1, 4, 7, 2});
  data.index();
  const Options options{.sources = find_sources(data.shards(), {}), .max_sample_bytes = 1 << 20};
  const std::vector<Step> steps = steps_of(options, {}, 66);
  std::vector<std::vector<std::string>> epochs(3);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    epochs[i / 22].push_back(steps[i].text.substr(0, steps[i].text.find('@')));
    EXPECT_EQ(steps[i].after, (Position{{i + 1}, {{(i + 1) / 22, 22, (i + 1) % 22}}}));
  }
  EXPECT_NE(epochs[0], epochs[1]);
  for (auto& keys : epochs) {
    // Neighbours come from different shards more often than not.
    std::size_t changes = 0;
    for (std::size_t i = 1; i < 22; ++i) changes += keys[i][0] != keys[i - 1][0] ? 1 : 0;
    EXPECT_GT(changes, 10U);
    std::ranges::sort(keys);
    EXPECT_EQ(keys, data.keys());
  }
}

TEST(SampleStreamOrderTest, TellsTheEndsOfEpochs) {
  const ShardFolder data({2, 3});
  data.index();
  SampleStream stream({.sources = find_sources(data.shards(), {}), .max_sample_bytes = 1 << 20},
                      {});
  for (std::size_t i = 0; i < 20; ++i) {
    EXPECT_EQ(stream.next()->epoch_ended, i % 5 == 0 && i > 0) << i;
  }
}

TEST(SampleStreamOrderTest, ABufferOfOneKeepsTheOrderWithinShards) {
  const ShardFolder data({3, 3, 3});
  const auto steps = steps_of(
      {.sources = {{.shards = data.shards()}}, .buffer = 1, .max_sample_bytes = 1 << 20}, {}, 9);
  for (std::size_t i = 0; i < steps.size(); ++i) {
    EXPECT_EQ(steps[i].text.substr(2, 1), std::to_string(i % 3));
  }
}

TEST(SampleStreamOrderTest, SourcesComeByTheirWeights) {
  const ShardFolder few({2, 2});
  const ShardFolder many({5, 6, 7});
  few.index();
  many.index();
  std::vector<Source> sources{find_sources(few.shards(), {})[0],
                              find_sources(many.shards(), {})[0]};
  sources[0].weight = 0.7;
  sources[1].weight = 0.1;
  SampleStream stream({.sources = sources, .seed = 5, .max_sample_bytes = 1 << 20}, {});
  constexpr int kSamples = 8000;
  Position last;
  int of_few = 0;
  for (int i = 0; i < kSamples; ++i) {
    const StreamItem item = *stream.next();
    const bool moved =
        last.lanes.empty() ? item.after.lanes[0].sample == 1 : item.after.lanes[0] != last.lanes[0];
    of_few += moved ? 1 : 0;
    last = item.after;
  }
  EXPECT_NEAR(of_few, kSamples * 0.875, 4 * std::sqrt(kSamples * 0.875 * 0.125));
  EXPECT_EQ(last.lanes[0].epoch * 4 + last.lanes[0].sample, of_few);
  EXPECT_EQ(last.lanes[1].epoch * 18 + last.lanes[1].sample, kSamples - of_few);
}

TEST(SampleStreamOrderTest, OncePassesInTheOrderOfTheShards) {
  const ShardFolder data({2, 0, 3});
  data.index();
  Options options{.sources = find_sources(data.shards(), {}),
                  .order = Order::kOnce,
                  .streams = 3,
                  .buffer = 9,
                  .max_sample_bytes = 1 << 20};
  const auto steps = steps_of(options, {}, 100);
  ASSERT_EQ(steps.size(), 6U);
  for (std::size_t i = 0; i < 5; ++i) {
    EXPECT_EQ(steps[i].text, fmt::format("{}@{}", data.keys()[i], i));
    EXPECT_EQ(steps_of(options, steps[i].after, 100),
              std::vector<Step>(steps.begin() + static_cast<std::ptrdiff_t>(i) + 1, steps.end()));
  }
  EXPECT_EQ(steps[5], (Step{"end@5", {{5}, {{1, 0, 0}}}}));
  options.world_size = 2;
  EXPECT_EQ(steps_of(options, {}, 100).size(), 4U);  // three samples and the end
  options.rank = 1;
  EXPECT_EQ(steps_of(options, {}, 100).size(), 3U);
}

TEST(SampleStreamOrderTest, GivesOneDefectForADamagedShard) {
  ShardFolder data({2});
  Bytes cut = tar_of({{"x.txt", "whole"}, {"y.txt", "lost"}, {"z.txt", "lost"}});
  cut[1024] ^= std::byte{1};  // the header of y.txt, so that x.txt may have been cut too
  data.add(cut);
  data.add({});
  std::vector<std::string> shards = data.shards();
  shards.emplace_back("/nowhere.tar");
  SampleStream stream(
      {.sources = {{.shards = shards}}, .order = Order::kOnce, .max_sample_bytes = 1 << 20}, {});
  std::vector<std::string> texts;
  for (StreamItem item = *stream.next(); !item.is_end(); item = *stream.next()) {
    const RawSample sample = std::move(item).load();
    texts.push_back(sample.defect ? sample.defect->cause + ": " + sample.defect->detail
                                  : sample.key);
  }
  EXPECT_FALSE(stream.next());
  ASSERT_EQ(texts.size(), 5U);
  EXPECT_EQ(texts[1], "0-1");
  const std::string hint = "; the shard is cut short or damaged, copy or pack it again";
  EXPECT_EQ(texts[2], "damaged shard: " + data.shards()[1] +
                          ": Damaged tar archive (byte 1536, at or after member 'x.txt')" + hint);
  EXPECT_EQ(texts[3], "damaged shard: " + data.shards()[2] +
                          ": the file is empty; expected a tar archive (byte 0)" + hint);
  EXPECT_EQ(texts[4], "damaged shard: /nowhere.tar: cannot open: No such file or directory");
}

TEST(SampleStreamOrderTest, ResumesFromEveryPositionAmongDamage) {
  ShardFolder data({3, 2});
  Bytes cut = tar_of({{"x.txt", "whole"}, {"y.txt", "lost"}});
  cut.resize(1024 + 100);
  data.add(cut);
  data.add(bytes_of("no tar at all"));
  const Options options{.sources = {{.shards = data.shards()}},
                        .streams = 2,
                        .buffer = 6,
                        .max_sample_bytes = 1 << 20};
  const auto whole = steps_of(options, {}, 40);
  for (std::size_t i = 0; i < 30; ++i) {
    const auto begin = whole.begin() + static_cast<std::ptrdiff_t>(i) + 1;
    ASSERT_EQ(steps_of(options, whole[i].after, 10), std::vector<Step>(begin, begin + 10));
  }
}

TEST(SampleStreamOrderTest, AShardThatDisappearsIsDamage) {
  for (const bool indexed : {false, true}) {
    const ShardFolder data({2, 3});
    if (indexed) data.index();
    SampleStream stream({.sources = find_sources(data.shards(), {}), .max_sample_bytes = 1 << 20},
                        {});
    const auto defects_of_epoch = [&](std::size_t samples) {
      std::size_t count = 0;
      for (std::size_t i = 0; i < samples; ++i) {
        const RawSample sample = std::move(*stream.next()).load();
        if (!sample.defect) continue;
        ++count;
        EXPECT_EQ(sample.defect->cause, "damaged shard");
        EXPECT_EQ(sample.defect->detail,
                  data.shards()[1] + ": cannot open: No such file or directory");
      }
      return count;
    };
    // Of an indexed shard, what is open would be read on.
    if (!indexed) {
      EXPECT_EQ(defects_of_epoch(5), 0U);
    }
    std::filesystem::remove(data.shards()[1]);
    // At random each of its samples is missed, in a stream the shard.
    EXPECT_EQ(defects_of_epoch(indexed ? 5 : 3), indexed ? 3U : 1U);
    EXPECT_EQ(defects_of_epoch(indexed ? 5 : 3), indexed ? 3U : 1U);
  }
}

TEST(SampleStreamOrderTest, RefusesAPositionInOtherData) {
  const ShardFolder data({3, 3});
  Options options{.sources = {{.shards = data.shards()}}, .max_sample_bytes = 1 << 20};
  const auto error = [&](const Position& start) {
    return error_text([&] { steps_of(options, start, 1); });
  };
  const std::string hint =
      "; the shards or their indices have changed since, resume with the data that the run began "
      "with";
  EXPECT_EQ(
      error({{44}, {{7, 1, 9}}}),
      "data.shards: the run was at sample 9 of its shard 2 in epoch 7, where there are 3" + hint);
  EXPECT_EQ(
      error({{44}, {{7, 6, 2}}}),
      "data.shards: the run was at sample 2 of its shard 7 in epoch 7, where there are 0" + hint);
  EXPECT_EQ(steps_of(options, {{44}, {{7, 0, 3}}}, 1)[0].after.lanes[0], (LanePosition{7, 1, 1}));
  options.streams = 2;
  EXPECT_EQ(error({{44}, {{7, 0, 3}}}),
            "data.shards: the run had 1 streams, these shards and options make 2; resume with the "
            "data and the data.streams that the run began with");
  data.index();
  options.sources = find_sources(data.shards(), {});
  EXPECT_EQ(error({{44}, {{7, 8, 5}}}),
            "data.shards: the run was at sample 5 of 8 in epoch 7, but the shards and their "
            "indices hold 6; they have changed since, resume with the data that the run began "
            "with");
  EXPECT_NE(error({{44}, {{7, 1, 2}}}), "");  // of a stream
  EXPECT_EQ(error({{44}, {{7, 6, 2}}}), "");
}

TEST(SampleStreamOrderTest, RanksMustShareTheStreamsEvenly) {
  const ShardFolder data({3, 3, 3, 3, 3});
  Options options{.sources = {{.shards = data.shards()}},
                  .streams = 4,
                  .max_sample_bytes = 1 << 20,
                  .world_size = 3};
  EXPECT_EQ(error_text([&] { SampleStream(options, {}); }),
            "data.streams: 4 streams of 5 shards cannot be shared evenly by 3 ranks; expected a "
            "multiple of 3 for data.streams and at least as many shards, or an index beside each "
            "shard (crescendo index)");
  options.streams = 3;
  EXPECT_EQ(delivered(options, {}, {10, 10, 10}), delivered(options, {}, {30}));
  data.index();
  options.sources = find_sources(data.shards(), {});
  EXPECT_EQ(delivered(options, {}, {6, 6, 6, 6, 6, 6, 6}), delivered(options, {}, {42}));
}

TEST(SampleStreamOrderTest, RefusesShardsWithoutSamples) {
  const ShardFolder data({0, 0});
  const std::string expected =
      "data.shards: the shards hold no samples; expected members KEY.jpg, KEY.txt";
  EXPECT_EQ(error_text([&] { steps_of({.sources = {{.shards = data.shards()}}}, {}, 1); }),
            expected);
  data.index();
  EXPECT_EQ(error_text([&] { steps_of({.sources = find_sources(data.shards(), {})}, {}, 1); }),
            expected);
}

}  // namespace

}  // namespace crescendo::dataloader
