#include <algorithm>
#include <array>
#include <filesystem>
#include <set>

#include <gtest/gtest.h>

#include "core/random.h"
#include "dataloader/buckets.h"
#include "dataloader/encode_image.h"
#include "dataloader/loader.h"
#include "tests/core/error_text.h"
#include "tests/dataloader/shard_folder.h"

namespace crescendo::dataloader {

namespace {

constexpr std::size_t kBatchSize = 3;

/// Frequent and rare aspect ratios.
constexpr std::array<Size, 10> kSizes{{{20, 20},
                                       {30, 18},
                                       {20, 20},
                                       {18, 30},
                                       {21, 20},
                                       {30, 18},
                                       {20, 19},
                                       {40, 10},
                                       {20, 20},
                                       {9, 36}}};

Image picture_of(Size size, std::uint64_t seed) {
  Image image{size.width, size.height, {}};
  RandomStream random(seed, Purpose::kPack, 0);
  for (std::int64_t i = 0; i < size.width * size.height * 3; ++i) {
    image.pixels.push_back(static_cast<std::uint8_t>(random.next()));
  }
  return image;
}

/// Shards of pictures of many sizes, of which every ninth cannot be decoded.
class PictureShards : public ShardFolder {
 public:
  explicit PictureShards(const std::vector<std::size_t>& sizes) : ShardFolder({}) {
    std::uint64_t number = 0;
    for (std::size_t shard = 0; shard < sizes.size(); ++shard) {
      TarBytes tar;
      for (std::size_t i = 0; i < sizes[shard]; ++i, ++number) {
        const Bytes png = encode_png(picture_of(kSizes[number * 7 % 10], number));
        const bool cut = number % 9 == 4;
        tar.add(std::to_string(shard) + "-" + std::to_string(i) + ".png",
                text_of(std::span(png).first(cut ? png.size() / 2 : png.size())));
      }
      add(tar.end().bytes());
    }
  }
};

DataOptions options_for(const ShardFolder& data) {
  DataOptions options;
  options.shards = data.shards();
  options.resolution = 16;
  options.enable_bucket = true;
  options.bucket_reso_steps = 4;
  options.center_crop = false;
  options.random_flip = true;
  options.shuffle_buffer = 20;
  options.max_bad_fraction = 1;
  return options;
}

/// All of a batch that a step of training sees.
struct Seen {
  std::int64_t width = 0;
  std::int64_t height = 0;
  std::vector<std::string> keys;
  std::vector<std::uint64_t> ordinals;
  std::vector<std::uint8_t> images;

  bool operator==(const Seen&) const = default;
};

Seen next(Loader& loader) {
  Batch batch = *loader.next();
  return {batch.width, batch.height, batch.keys, batch.ordinals, std::move(batch.images)};
}

/// Shards read in streams, indexed ones, and both by weight.
class BucketLoaderTest : public testing::TestWithParam<std::string> {
 protected:
  BucketLoaderTest() {
    if (GetParam() == "indexed") streamed_.index();
    options_ = options_for(streamed_);
    if (GetParam() == "weighted") {
      indexed_.index();
      options_.shards = {all_of(streamed_), all_of(indexed_)};
      options_.weights = {3, 1};
    }
  }

  static std::string all_of(const ShardFolder& data) {
    return (std::filesystem::path(data.shards()[0]).parent_path() / "*.tar").string();
  }

  Loader open(const Position& start = {}, const Ranks& ranks = {},
              std::size_t batch_size = kBatchSize) const {
    return {options_, {}, batch_size, 3, Order::kShuffled, start, ranks};
  }

  /// Batches `count` times the number of ranks, in the order of the run, from `start`, which
  /// becomes where they end.
  std::vector<Seen> run(std::uint64_t world_size, std::size_t count, Position& start) const {
    std::vector<Seen> batches(count * world_size);
    std::vector<Position> ends;
    for (std::uint64_t rank = 0; rank < world_size; ++rank) {
      Loader loader = open(start, {rank, world_size});
      for (std::size_t i = 0; i < count; ++i) batches[i * world_size + rank] = next(loader);
      ends.push_back(loader.position());
      if (rank + 1 == world_size) start = loader.merge(ends);
    }
    return batches;
  }

  PictureShards streamed_{{14, 9, 20, 8, 17}};
  PictureShards indexed_{{30, 12}};
  DataOptions options_;
};

INSTANTIATE_TEST_SUITE_P(Kinds, BucketLoaderTest,
                         testing::Values("streamed", "indexed", "weighted"),
                         [](const auto& kind) { return kind.param; });

TEST_P(BucketLoaderTest, EveryBatchIsFullAndOfOneBucket) {
  const std::vector<Size> buckets = bucket_sizes(options_);
  std::set<std::pair<std::int64_t, std::int64_t>> seen;
  Loader loader = open();
  for (int i = 0; i < 120; ++i) {
    const Seen batch = next(loader);
    ASSERT_EQ(batch.keys.size(), kBatchSize);
    ASSERT_EQ(batch.images.size(),
              kBatchSize * 3 * static_cast<std::size_t>(batch.width * batch.height));
    seen.insert({batch.width, batch.height});
  }
  // 20x20 and its neighbours, 30x18, 18x30, 40x10 and 9x36.
  EXPECT_EQ(seen, (std::set<std::pair<std::int64_t, std::int64_t>>{
                      {8, 32}, {12, 20}, {16, 16}, {20, 12}, {32, 8}}));
}

TEST_P(BucketLoaderTest, DeliversEverySampleOnceOrHasItWaiting) {
  Loader loader = open();
  std::set<std::uint64_t> delivered;
  for (int i = 0; i < 150; ++i) {
    for (const std::uint64_t ordinal : next(loader).ordinals) {
      ASSERT_TRUE(delivered.insert(ordinal).second) << ordinal << " again";
    }
    const Position position = loader.position();
    for (const WaitingSample& sample : position.waiting) {
      ASSERT_FALSE(delivered.contains(sample.ordinal));
      ASSERT_GE(sample.ordinal, position.delivered());
    }
    ASSERT_EQ(delivered.size() + position.waiting.size() + loader.report().bad_count(),
              position.ordinal());
  }
  EXPECT_GE(loader.position().epoch(), 3U);
  EXPECT_GT(loader.report().bad_count(), 0U);
  // Five sizes, less than a batch of each, of each stream.
  EXPECT_LE(loader.position().waiting.size(),
            5 * (kBatchSize - 1) * static_cast<std::size_t>(options_.streams) + 30);
}

TEST_P(BucketLoaderTest, IsTheSameForAnyNumberOfThreadsAndRanks) {
  options_.workers = options_.prefetch = 1;
  Position end;
  const std::vector<Seen> expected = run(1, 96, end);
  for (const std::int64_t workers : {1, 2, 4}) {
    options_.workers = workers;
    options_.prefetch = workers;
    for (const std::uint64_t ranks : {1U, 2U, 4U}) {
      Position start;
      ASSERT_EQ(run(ranks, 96 / ranks, start), expected)
          << workers << " workers, " << ranks << " ranks";
    }
  }
}

TEST_P(BucketLoaderTest, ResumesAtAnyOfFiftyPlaces) {
  Loader whole = open();
  std::vector<Position> positions;
  std::vector<Seen> batches;
  for (int i = 0; i < 210; ++i) {
    positions.push_back(whole.position());
    batches.push_back(next(whole));
  }
  EXPECT_GE(positions.back().epoch(), 4U);
  RandomStream random(1, Purpose::kPack, 0);
  for (int place = 0; place < 50; ++place) {
    const std::size_t begin = random.below(200);
    Loader resumed = open(positions[begin]);
    ASSERT_EQ(resumed.position(), positions[begin]);
    for (std::size_t i = begin; i < begin + 9; ++i) {
      ASSERT_EQ(next(resumed), batches[i]) << "batch " << i << " from " << begin;
      ASSERT_EQ(resumed.position(), positions[i + 1]);
    }
  }
}

TEST_P(BucketLoaderTest, ResumesWithAnotherNumberOfRanks) {
  Position position;
  const std::vector<Seen> expected = run(1, 128, position);
  position = {};
  std::size_t begin = 0;
  for (const auto& [ranks, count] : std::vector<std::pair<std::uint64_t, std::size_t>>{
           {2, 7}, {1, 4}, {4, 6}, {2, 9}, {1, 20}}) {
    const std::vector<Seen> batches = run(ranks, count, position);
    std::set<std::uint64_t> firsts;
    std::set<std::uint64_t> expected_firsts;
    for (std::size_t i = 0; i < batches.size(); ++i) {
      // Within a step, which rank has which batch is of no account.
      firsts.insert(batches[i].ordinals[0]);
      expected_firsts.insert(expected[begin + i].ordinals[0]);
      if ((i + 1) % ranks != 0) continue;
      ASSERT_EQ(firsts, expected_firsts) << "batch " << begin + i << ", " << ranks << " ranks";
    }
    begin += batches.size();
  }
}

TEST_P(BucketLoaderTest, LosesNothingWhenResumedInOtherBatches) {
  Loader loader = open();
  std::set<std::uint64_t> delivered;
  const auto take = [&](Loader& from) {
    for (const std::uint64_t ordinal : next(from).ordinals) {
      ASSERT_TRUE(delivered.insert(ordinal).second) << ordinal << " again";
    }
  };
  for (int i = 0; i < 40; ++i) take(loader);
  const Position position = loader.position();
  ASSERT_GT(position.waiting.size(), 4U);
  const std::set<std::uint64_t> before = delivered;
  // The first batches come while samples are still to be read again.
  Loader ones = open(position, {}, 1);
  for (int i = 0; i < 2; ++i) take(ones);
  const Position later = ones.position();
  EXPECT_EQ(later.waiting.size(), position.waiting.size() - 2);
  options_.enable_bucket = false;
  Loader squares = open(later, {}, 1);
  for (std::size_t i = 0; i < later.waiting.size(); ++i) {
    EXPECT_EQ(squares.position().waiting.size(), later.waiting.size() - i);
    take(squares);
  }
  EXPECT_TRUE(squares.position().waiting.empty());
  for (const WaitingSample& sample : position.waiting) {
    EXPECT_TRUE(delivered.contains(sample.ordinal) && !before.contains(sample.ordinal));
  }
  EXPECT_EQ(squares.position().lanes, position.lanes);
}

TEST(BucketOnceTest, GivesEverySampleOnceAndSoon) {
  const PictureShards data({14, 9, 20, 8, 300});
  Loader loader(options_for(data), {}, kBatchSize, 3, Order::kOnce);
  std::set<std::uint64_t> delivered;
  std::size_t shorter = 0;
  while (const auto batch = loader.next()) {
    for (const std::uint64_t ordinal : batch->ordinals) {
      ASSERT_TRUE(delivered.insert(ordinal).second) << ordinal << " again";
      EXPECT_LE(loader.position().ordinal() - ordinal, 32 * kBatchSize + 1);
    }
    shorter += batch->size() < kBatchSize ? 1 : 0;
    const Position position = loader.position();
    for (const WaitingSample& sample : position.waiting) {
      ASSERT_FALSE(delivered.contains(sample.ordinal));
    }
  }
  EXPECT_EQ(delivered.size(), 351U - 39U);  // every ninth is bad
  EXPECT_EQ(loader.report().bad_count(), 39U);
  EXPECT_GT(shorter, 0U);
  EXPECT_LE(shorter, 5U);
}

TEST(BucketSampleTest, IsCutFromTheLeastSizeThatCovers) {
  ShardFolder data({});
  const Image image = picture_of({30, 18}, 1);
  data.add(tar_of({{"a.png", text_of(encode_png(image))}}));
  DataOptions options = options_for(data);
  options.random_flip = false;
  options.center_crop = true;
  Loader loader(options, {}, 1, 3, Order::kOnce);
  const Batch batch = *loader.next();
  ASSERT_EQ(batch.width, 20);
  ASSERT_EQ(batch.height, 12);
  // 30x18 is 20x12 exactly.
  const Image expected = resize(image, {20, 12}, {0, 0, {20, 12}}, Filter::kBicubic);
  for (std::size_t i = 0; i < std::size_t{20} * 12; ++i) {
    for (std::size_t channel = 0; channel < 3; ++channel) {
      ASSERT_EQ(batch.images[channel * 240 + i], expected.pixels[i * 3 + channel]);
    }
  }
}

TEST(BucketSampleTest, IsChosenByTheUprightSize) {
  // 8 high and 16 wide as stored, to be turned by a quarter.
  ShardFolder data({});
  data.add(tar_of({{"a.jpg", text_of(read_data("oriented_6.jpg"))}}));
  Loader loader(options_for(data), {}, 1, 3, Order::kOnce);
  const Image upright = decode_image(read_data("oriented_6.jpg"));
  const Batch batch = *loader.next();
  EXPECT_EQ(batch.width < batch.height, upright.width < upright.height);
  EXPECT_NE(batch.width, batch.height);
}

TEST(BucketSampleTest, LatentsGoTogetherBySize) {
  const auto safetensors = [](const std::string& shape, std::size_t values) {
    const std::string size = std::to_string(values * 4);
    std::string header = R"({"logvar":{"dtype":"F32","shape":)" + shape + R"(,"data_offsets":[0,)" +
                         size + R"(]},"mean":{"dtype":"F32","shape":)" + shape +
                         R"(,"data_offsets":[)" + size + "," + std::to_string(values * 8) + "]}}";
    while (header.size() % 8 != 0) header += ' ';
    std::string file(8, '\0');
    file[0] = static_cast<char>(header.size());
    return file + header + std::string(values * 8, '\0');
  };
  ShardFolder data({});
  data.add(tar_of({{"a.safetensors", safetensors("[1,2,3]", 6)},
                   {"b.safetensors", safetensors("[1,3,2]", 6)},
                   {"c.safetensors", safetensors("[1,2,3]", 6)},
                   {"d.safetensors", safetensors("[2,3]", 6)}}));
  Loader loader(options_for(data), {.latents = true}, 2, 3, Order::kOnce);
  const Batch batch = *loader.next();
  EXPECT_EQ(batch.keys, (std::vector<std::string>{"a", "c"}));
  EXPECT_EQ(batch.width, 3);
  EXPECT_EQ(batch.height, 2);
  EXPECT_EQ(loader.next()->keys, (std::vector<std::string>{"b"}));
  EXPECT_EQ(loader.report().named[0],
            data.shards()[0] + ": d: corrupt latents: 'mean' is not of shape [C,h,w]");
}

TEST(BucketLoaderOptionsTest, TellsTheBuckets) {
  const PictureShards data({5});
  data.index();
  DataOptions options = options_for(data);
  options.min_bucket_reso = 12;
  EXPECT_EQ(Loader(options, {}, 1, 3, Order::kShuffled).describe(1),
            "5 samples in 1 shard (indexed: shuffled as a whole), 5 steps an epoch; 3 buckets, "
            "width x height: 12x20, 16x16, 20x12");
}

TEST(BucketLoaderOptionsTest, RefusesWhatCannotBeMet) {
  const PictureShards data({5});
  data.index();
  DataOptions options = options_for(data);
  EXPECT_EQ(error_text([&] {
              Loader(options, {}, 1, 3, Order::kShuffled, {}, {.rank = 0, .world_size = 3});
            }),
            "data.streams: with data.enable_bucket, expected a multiple of the number of ranks, 3; "
            "found 4");
  options.bucket_reso_steps = 5;
  EXPECT_NE(error_text([&] { Loader(options, {}, 1, 3, Order::kShuffled); }), "");
}

TEST(BucketLoaderOptionsTest, RefusesToReadAgainWhatIsGone) {
  for (const bool indexed : {false, true}) {
    const PictureShards data({5, 6});
    if (indexed) data.index();
    DataOptions options = options_for(data);
    options.streams = 1;
    Position start{{20}, {indexed ? LanePosition{1, 11, 9} : LanePosition{1, 1, 4}}};
    const LanePosition gone = indexed ? LanePosition{0, 12, 11} : LanePosition{0, 1, 6};
    start.waiting = {{9, gone}};
    Loader loader(options, {}, 1, 3, Order::kShuffled, start);
    const std::string error = error_text([&] { loader.next(); });
    EXPECT_NE(error.find("resume with the data that the run began with"), std::string::npos)
        << error;
  }
}

}  // namespace

}  // namespace crescendo::dataloader
