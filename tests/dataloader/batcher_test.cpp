#include "dataloader/batcher.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo::dataloader {

namespace {

using Ordinals = std::vector<std::uint64_t>;

Sample sample_of(std::uint64_t ordinal, std::int64_t width) {
  Sample sample;
  sample.key = std::to_string(ordinal);
  sample.ordinal = ordinal;
  sample.width = width;
  sample.height = 1;
  sample.image.assign(static_cast<std::size_t>(width) * 3, static_cast<std::uint8_t>(ordinal));
  return sample;
}

/// Adds samples 0, 1, ... of these widths.
void add(Batcher& batcher, const std::vector<std::int64_t>& widths) {
  for (std::uint64_t i = 0; i < widths.size(); ++i) {
    batcher.add(sample_of(i, widths[i]), {7, 8, i});
  }
}

Ordinals next(Batcher& batcher) {
  const auto batch = batcher.next();
  return batch ? batch->ordinals : Ordinals{};
}

Ordinals waiting(const Batcher& batcher) {
  Ordinals ordinals;
  for (const WaitingSample& sample : batcher.waiting()) ordinals.push_back(sample.ordinal);
  return ordinals;
}

TEST(BatcherTest, GathersSamplesOfOneSize) {
  Batcher batcher({.batch_size = 2}, 0);
  add(batcher, {4, 5, 6, 5, 4});
  const auto batch = batcher.next();
  ASSERT_TRUE(batch);
  EXPECT_EQ(batch->ordinals, (Ordinals{1, 3}));
  EXPECT_EQ(batch->keys, (std::vector<std::string>{"1", "3"}));
  EXPECT_EQ(batch->width, 5);
  EXPECT_EQ(batch->height, 1);
  EXPECT_EQ(batch->images.size(), 2U * 5 * 3);
  EXPECT_EQ(next(batcher), (Ordinals{0, 4}));
  EXPECT_EQ(next(batcher), Ordinals{});
  ASSERT_EQ(batcher.waiting().size(), 1U);
  EXPECT_EQ(batcher.waiting()[0], (WaitingSample{2, {7, 8, 2}}));
}

TEST(BatcherTest, GivesTheBatchesOfItsGatherersInTurn) {
  Batcher batcher({.batch_size = 2, .streams = 2}, 0);
  // Gatherer 0 takes the even samples: one of size 4 at first.
  add(batcher, {4, 9, 5, 9, 6, 9, 7, 9});
  EXPECT_EQ(next(batcher), Ordinals{});  // of gatherer 0, though 1 has two
  EXPECT_EQ(waiting(batcher), (Ordinals{0, 1, 2, 3, 4, 5, 6, 7}));
  batcher.add(sample_of(8, 5), {});
  EXPECT_EQ(next(batcher), (Ordinals{2, 8}));
  EXPECT_EQ(batcher.turn(), 1U);
  EXPECT_EQ(next(batcher), (Ordinals{1, 3}));
  EXPECT_EQ(batcher.turn(), 0U);
  EXPECT_EQ(next(batcher), Ordinals{});
  EXPECT_EQ(waiting(batcher), (Ordinals{0, 4, 5, 6, 7}));
}

TEST(BatcherTest, BeginsWithTheFirstOfItsGatherersFromTheTurnOn) {
  for (std::uint64_t turn = 0; turn < 4; ++turn) {
    for (std::uint64_t rank = 0; rank < 2; ++rank) {
      Batcher batcher({.batch_size = 1, .streams = 4, .rank = rank, .world_size = 2}, turn);
      batcher.add(sample_of(rank, 4), {});
      batcher.add(sample_of(rank + 2, 4), {});
      std::uint64_t expected = turn;
      while (expected % 2 != rank) ++expected;
      EXPECT_EQ(next(batcher), Ordinals{expected % 4}) << "turn " << turn << ", rank " << rank;
      EXPECT_EQ(batcher.turn(), (turn + 2) % 4);
      EXPECT_EQ(next(batcher), Ordinals{(expected + 2) % 4});
    }
  }
}

TEST(BatcherTest, FlushesWhatIsLeft) {
  Batcher batcher({.batch_size = 2}, 0);
  add(batcher, {4, 5, 6, 5});
  std::size_t count = 0;
  while (const auto batch = batcher.flush()) count += batch->size();
  EXPECT_EQ(count, 4U);
  EXPECT_EQ(waiting(batcher), Ordinals{});
}

TEST(BatcherTest, NoSampleWaitsForLongerThanAllowed) {
  Batcher batcher({.batch_size = 3, .longest_wait = 4}, 0);
  add(batcher, {4, 5, 5, 6});
  EXPECT_EQ(next(batcher), Ordinals{});
  batcher.add(sample_of(4, 7), {});
  EXPECT_EQ(next(batcher), (Ordinals{0}));
  batcher.add(sample_of(5, 7), {});
  EXPECT_EQ(next(batcher), (Ordinals{1, 2}));
  EXPECT_EQ(waiting(batcher), (Ordinals{3, 4, 5}));
}

TEST(BatcherTest, RefusesOptionsThatCannotBeMet) {
  EXPECT_EQ(error_text([] { Batcher({.batch_size = 0}, 0); }),
            "batch size: expected at least 1, found 0");
  EXPECT_EQ(error_text([] { Batcher({.streams = 4, .world_size = 3}, 0); }),
            "data.streams: with data.enable_bucket, expected a multiple of the number of ranks, 3; "
            "found 4");
}

}  // namespace

}  // namespace crescendo::dataloader
