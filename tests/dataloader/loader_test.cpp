#include "dataloader/loader.h"

#include <algorithm>
#include <map>

#include <gtest/gtest.h>
#include <unistd.h>

#include "core/random.h"
#include "dataloader/descriptor.h"
#include "tests/core/error_text.h"
#include "tests/dataloader/shard_folder.h"

namespace crescendo::dataloader {

namespace {

const Need kCaption{.caption = true};

DataOptions options_for(const ShardFolder& data) {
  DataOptions options;
  options.shards = data.shards();
  options.resolution = 8;
  options.center_crop = false;
  options.random_flip = true;
  options.shuffle_buffer = 6;
  options.max_bad_fraction = 1;
  return options;
}

/// Samples one by one, however they were batched.
struct Seen {
  std::vector<std::string> keys;
  std::vector<std::string> captions;
  std::vector<std::uint64_t> ordinals;
  std::vector<std::uint8_t> images;

  bool operator==(const Seen&) const = default;

  void add(const Batch& batch) {
    keys.insert(keys.end(), batch.keys.begin(), batch.keys.end());
    captions.insert(captions.end(), batch.captions.begin(), batch.captions.end());
    ordinals.insert(ordinals.end(), batch.ordinals.begin(), batch.ordinals.end());
    images.insert(images.end(), batch.images.begin(), batch.images.end());
  }
};

/// The next `batches` of the loader.
Seen take(Loader& loader, std::size_t batches) {
  Seen seen;
  for (std::size_t i = 0; i < batches; ++i) {
    const auto batch = loader.next();
    if (!batch) break;
    EXPECT_EQ(batch->images.size(), batch->size() * 3 * 8 * 8);
    seen.add(*batch);
  }
  return seen;
}

std::vector<std::string> sorted_part(const std::vector<std::string>& keys, std::size_t begin,
                                     std::size_t count) {
  const auto first = keys.begin() + static_cast<std::ptrdiff_t>(begin);
  std::vector<std::string> part(first, first + static_cast<std::ptrdiff_t>(count));
  std::ranges::sort(part);
  return part;
}

/// A shard of samples that are each bad in another way, and one that is cut.
void add_damage(ShardFolder& data) {
  const std::string image = text_of(read_data("baseline.jpg"));
  data.add(TarBytes()
               .add("good.jpg", image)
               .add("good.txt", "a caption")
               .add("cut.jpg", image.substr(0, 300))
               .add("cut.txt", "of a cut image")
               .add("silent.jpg", image)
               .add("twice.txt", "1")
               .add("twice.txt", "2")
               .end()
               .bytes());
  data.add(TarBytes().add("lost.jpg", image).bytes());
}

TEST(LoaderTest, GivesTheSameWhateverWorkersPrefetchAndBatchSize) {
  ShardFolder data({5, 3, 4});
  add_damage(data);
  DataOptions options = options_for(data);
  options.workers = options.prefetch = 1;
  Loader reference(options, kCaption, 1, 3, Order::kShuffled);
  const Seen expected = take(reference, 60);
  for (const std::size_t batch_size : {1U, 4U, 60U}) {
    for (const std::int64_t workers : {1, 2, 5}) {
      for (const std::int64_t prefetch : {1, 3}) {
        options.workers = workers;
        options.prefetch = prefetch;
        Loader loader(options, kCaption, batch_size, 3, Order::kShuffled);
        ASSERT_EQ(take(loader, 60 / batch_size), expected)
            << workers << " workers, prefetch " << prefetch << ", batches of " << batch_size;
        ASSERT_EQ(loader.position(), reference.position());
      }
    }
  }
}

TEST(LoaderTest, GivesEachSampleOnceAnEpoch) {
  const ShardFolder data({5, 3, 4});
  DataOptions options = options_for(data);
  options.streams = 1;
  for (const bool indexed : {false, true}) {
    if (indexed) data.index();
    Loader loader(options, kCaption, 7, 3, Order::kShuffled);
    const Seen seen = take(loader, 12);  // 84 samples: seven epochs
    ASSERT_EQ(seen.keys.size(), 84U);
    for (std::size_t begin = 0; begin < 84; begin += 12) {
      EXPECT_EQ(sorted_part(seen.keys, begin, 12), sorted_part(data.keys(), 0, 12)) << begin;
    }
    for (std::size_t i = 0; i < 84; ++i) {
      EXPECT_EQ(seen.ordinals[i], i);
      EXPECT_EQ(seen.captions[i], "caption of " + seen.keys[i]);
    }
  }
}

TEST(LoaderTest, ResumesFromEveryPosition) {
  ShardFolder data({5, 3, 4});
  add_damage(data);
  constexpr std::size_t kBatches = 16;
  Loader whole(options_for(data), kCaption, 3, 3, Order::kShuffled);
  std::vector<Position> positions{whole.position()};
  std::vector<Seen> batches;
  for (std::size_t i = 0; i < kBatches; ++i) {
    batches.push_back(take(whole, 1));
    positions.push_back(whole.position());
  }
  EXPECT_GE(positions.back().epoch(), 2U);
  for (std::size_t begin = 0; begin < kBatches; ++begin) {
    Loader resumed(options_for(data), kCaption, 3, 3, Order::kShuffled, positions[begin]);
    ASSERT_EQ(resumed.position(), positions[begin]);
    for (std::size_t i = begin; i < kBatches; ++i) {
      ASSERT_EQ(take(resumed, 1), batches[i]) << "batch " << i << " from " << begin;
      ASSERT_EQ(resumed.position(), positions[i + 1]);
    }
  }
}

/// Takes from every rank in turn, `batches` of two each, as samples by their ordinals.
std::map<std::uint64_t, std::string> take_from_ranks(const DataOptions& options,
                                                     std::uint64_t world_size,
                                                     std::size_t batches) {
  std::map<std::uint64_t, std::string> samples;
  for (std::uint64_t rank = 0; rank < world_size; ++rank) {
    Loader loader(options, kCaption, 2, 3, Order::kShuffled, {}, {rank, world_size});
    const Seen seen = take(loader, batches);
    const std::size_t bytes = seen.images.size() / seen.keys.size();
    for (std::size_t i = 0; i < seen.keys.size(); ++i) {
      const auto* image = reinterpret_cast<const char*>(seen.images.data() + i * bytes);
      samples[seen.ordinals[i]] = seen.keys[i] + std::string(image, bytes);
    }
  }
  return samples;
}

TEST(LoaderTest, AllRanksTogetherDeliverWhatOneWould) {
  const ShardFolder data({5, 3, 4, 2, 6});
  DataOptions options = options_for(data);
  for (const bool indexed : {false, true}) {
    if (indexed) data.index();
    const auto expected = take_from_ranks(options, 1, 32);
    ASSERT_EQ(expected.size(), 64U);
    for (const std::int64_t workers : {1, 2, 4}) {
      options.workers = workers;
      EXPECT_EQ(take_from_ranks(options, 1, 32), expected);
      EXPECT_EQ(take_from_ranks(options, 2, 16), expected);
      EXPECT_EQ(take_from_ranks(options, 4, 8), expected);
    }
  }
}

TEST(LoaderTest, ResumesInTheMiddleOfManySamplesAtAnyOfFiftyPlaces) {
  const ShardFolder streamed({40, 35, 60, 25, 50});
  const ShardFolder indexed({80, 45, 10});
  indexed.index();
  DataOptions options = options_for(streamed);
  options.shuffle_buffer = 60;
  options.shards.push_back(indexed.shards()[0]);
  options.shards.push_back(indexed.shards()[1]);
  options.weights = {1, 1, 1, 1, 1, 3, 2};
  for (const int kind : {0, 1, 2}) {
    if (kind == 1) options.weights.clear();
    if (kind == 2) options.shards = indexed.shards();
    Loader whole(options, {}, 1, 3, Order::kShuffled);
    std::vector<Position> positions;
    std::vector<std::string> keys;
    for (int i = 0; i < 600; ++i) {
      positions.push_back(whole.position());
      keys.push_back(whole.next()->keys[0]);
    }
    RandomStream random(1, Purpose::kPack, 0);
    for (int place = 0; place < 50; ++place) {
      const std::size_t at = random.below(590);
      Loader resumed(options, {}, 10, 3, Order::kShuffled, positions[at]);
      const auto begin = keys.begin() + static_cast<std::ptrdiff_t>(at);
      ASSERT_EQ(resumed.next()->keys, std::vector<std::string>(begin, begin + 10)) << at;
    }
  }
}

TEST(LoaderTest, TellsWhatAnEpochIs) {
  const ShardFolder data({700, 500});
  DataOptions options = options_for(data);
  const auto text = [&](const Ranks& ranks = {}) {
    return Loader(options, {}, 1, 3, Order::kShuffled, {}, ranks).describe(32);
  };
  EXPECT_EQ(text(),
            "2 shards in 2 streams (not all indexed: shuffled within each); samples are "
            "counted as they come");
  data.index();
  EXPECT_EQ(text(),
            "1,200 samples in 2 shards (indexed: shuffled as a whole), 37.5 steps an epoch");
  EXPECT_EQ(text({1, 3}), text() + "; shared by 3 ranks");
  options.weights = {3, 1};
  EXPECT_EQ(text(),
            "75% of 700 samples in 1 shard (indexed: shuffled as a whole), 29.1667 steps an epoch; "
            "25% of 500 samples in 1 shard (indexed: shuffled as a whole), 62.5 steps an epoch");
}

TEST(LoaderTest, WeightsMustFitTheEntries) {
  const ShardFolder data({1, 1});
  DataOptions options = options_for(data);
  const auto error = [&] {
    return error_text([&] { Loader(options, {}, 1, 3, Order::kShuffled); });
  };
  options.weights = {1};
  EXPECT_EQ(error(),
            "data.weights: expected 2 numbers, one for each entry of data.shards, or none; found "
            "1");
  options.weights = {1, 0};
  EXPECT_EQ(error(), "data.weights: expected numbers above 0, found 0");
  options.weights = {1, 1};
  options.shards[1] = options.shards[0];
  EXPECT_EQ(error(), options.shards[0] + ": this shard is named twice");
}

TEST(LoaderTest, ReadsFromCommandsListsAndFiles) {
  const ShardFolder data({3, 4, 2});
  DataOptions options = options_for(data);
  options.shards = {"pipe:cat " + data.shards()[0], data.shards()[1],
                    "pipe:gzip -c " + data.shards()[2]};
  Loader loader(options, kCaption, 9, 3, Order::kOnce);
  EXPECT_EQ(loader.next()->keys, data.keys());
  options.shards[0] += "; echo 'no such bucket' >&2; exit 2";
  Loader failing(options, kCaption, 9, 3, Order::kOnce);
  EXPECT_EQ(failing.next()->keys.size(), 8U);
  EXPECT_EQ(failing.report().named[0], options.shards[0] + ": damaged shard: " + options.shards[0] +
                                           ": the command failed with exit code 2: no such bucket");
}

// As img2dataset leaves it: keys with gaps, in no order, an empty caption, what it knows in JSON.
TEST(LoaderTest, ReadsWhatImg2datasetWrites) {
  const TemporaryFolder folder;
  const std::string image = text_of(read_data("baseline.jpg"));
  TarBytes tar;
  for (const auto& [key, caption] : {std::pair("000000003", "a cat"), std::pair("000000000", ""),
                                     std::pair("000000017", "a dog")}) {
    const std::string json = fmt::format(
        "{{\n    \"caption\": \"{}\",\n    \"key\": \"{}\",\n    \"status\": \"success\",\n    "
        "\"error_message\": null,\n    \"width\": 21,\n    \"exif\": \"{{}}\"\n}}",
        caption, key);
    tar.add_pax(std::string(key) + ".jpg", image)
        .add_pax(std::string(key) + ".json", json)
        .add_pax(std::string(key) + ".txt", caption);
  }
  write_bytes(folder / "00000.tar", tar.end().bytes());
  write_bytes(folder / "00000.parquet", bytes_of("PAR1"));
  write_bytes(folder / "00000_stats.json", bytes_of("{}"));
  DataOptions options;
  options.resolution = 8;
  options.shards = {(folder / "*").string()};
  for (const char* caption : {"txt", "json:caption"}) {
    options.caption = caption;
    Loader loader(options, kCaption, 4, 0, Order::kOnce);
    const auto batch = loader.next();
    EXPECT_EQ(batch->keys, (std::vector<std::string>{"000000003", "000000000", "000000017"}));
    EXPECT_EQ(batch->captions, (std::vector<std::string>{"a cat", "", "a dog"}));
    EXPECT_EQ(loader.report().bad_count(), 0U);
  }
}

TEST(LoaderTest, ASilentCommandIsCounted) {
  const ShardFolder data({3});
  DataOptions options = options_for(data);
  options.shards.insert(options.shards.begin(), "pipe:sleep 60");
  options.pipe_timeout = 1;
  Loader loader(options, kCaption, 3, 3, Order::kOnce);
  EXPECT_EQ(loader.next()->keys, data.keys());
  EXPECT_EQ(loader.report().named[0],
            "pipe:sleep 60: damaged shard: pipe:sleep 60: no bytes for 1 seconds "
            "(data.pipe_timeout), the command was killed");
}

TEST(LoaderTest, StandardInputLastsForOneEpoch) {
  const TemporaryFolder folder;
  const std::string image = text_of(read_data("baseline.jpg"));
  write_bytes(folder / "in.tar", tar_of({{"a.jpg", image}, {"a.txt", "x"}, {"b.jpg", image}}));
  const Descriptor saved(::dup(STDIN_FILENO));
  ASSERT_NE(::freopen((folder / "in.tar").c_str(), "r", stdin), nullptr);
  DataOptions options;
  options.shards = {"-"};
  options.resolution = 8;
  Loader loader(options, {}, 2, 3, Order::kShuffled);
  std::vector<std::string> keys = loader.next()->keys;
  std::ranges::sort(keys);
  EXPECT_EQ(keys, (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(error_text([&] { loader.next(); }),
            "data.shards: '-' is standard input, which can be read only once, and the run needs a "
            "second epoch; expected files, or fewer steps");
  ::dup2(saved.get(), STDIN_FILENO);
}

TEST(LoaderTest, OnceEndsWithAShortBatch) {
  const ShardFolder data({3, 0, 4});
  Loader loader(options_for(data), kCaption, 5, 3, Order::kOnce);
  ASSERT_EQ(loader.next()->size(), 5U);
  const auto last = loader.next();
  ASSERT_TRUE(last);
  EXPECT_EQ(last->keys, (std::vector<std::string>{"2-2", "2-3"}));
  EXPECT_FALSE(loader.next());
  EXPECT_FALSE(loader.next());
}

TEST(LoaderTest, OnceKeepsTheOrderOfTheShards) {
  const ShardFolder data({3, 4});
  Loader loader(options_for(data), kCaption, 2, 3, Order::kOnce);
  EXPECT_EQ(take(loader, 99).keys, data.keys());
}

TEST(LoaderTest, CountsAndNamesWhatItSkips) {
  ShardFolder data({5, 3, 4});
  add_damage(data);
  Loader loader(options_for(data), kCaption, 4, 3, Order::kOnce);
  const Seen seen = take(loader, 99);
  EXPECT_EQ(seen.keys.size(), 13U);
  EXPECT_EQ(seen.keys.back(), "good");
  EXPECT_EQ(loader.report().summary(),
            "4 of 17 samples skipped: 1 corrupt image, 1 damaged shard, 1 duplicate member, 1 no "
            "caption");
  const std::string& odd = data.shards()[3];
  const std::string& cut = data.shards()[4];
  EXPECT_EQ(
      loader.report().named,
      (std::vector<std::string>{
          odd + ": cut: corrupt image: JPEG: Premature end of JPEG file",
          odd + ": silent: no caption: expected a member txt, found jpg",
          odd + ": twice: duplicate member: 'twice.txt' comes twice",
          cut + ": damaged shard: " + cut +
              ": no end-of-archive mark, so members may be missing (byte 1536, at or after "
              "member 'lost.jpg'); the shard is cut short or damaged, copy or pack it again"}));
}

TEST(LoaderTest, EndsWhenTooManySamplesAreBad) {
  ShardFolder data({});
  TarBytes tar;
  for (int i = 0; i < 120; ++i) tar.add(std::to_string(i) + ".txt", "no image");
  data.add(tar.end().bytes());
  DataOptions options = options_for(data);
  options.max_bad_fraction = 0.5;
  Loader loader(options, {}, 1, 3, Order::kOnce);
  EXPECT_EQ(error_text([&] { loader.next(); }),
            "data.shards: too many unusable samples; data.max_bad_fraction is 0.5; 100 of 100 "
            "samples skipped: 100 no image; the first: " +
                data.shards()[0] +
                ": 0: no image: expected a member jpg, png or webp, found txt (a name is cut at "
                "its first dot)");
}

TEST(LoaderTest, EndsWhenThereIsNothingToUse) {
  const ShardFolder empty({0, 0});
  for (const Order order : {Order::kShuffled, Order::kOnce}) {
    Loader loader(options_for(empty), kCaption, 2, 3, order);
    EXPECT_EQ(error_text([&] { loader.next(); }),
              "data.shards: the shards hold no samples; expected members KEY.jpg, KEY.txt");
  }
  ShardFolder bad({});
  bad.add(tar_of({{"a.txt", "no image"}}));
  Loader loader(options_for(bad), kCaption, 2, 3, Order::kShuffled);
  EXPECT_EQ(error_text([&] { loader.next(); }),
            "data.shards: no usable sample; 1 of 1 samples skipped: 1 no image; the first: " +
                bad.shards()[0] +
                ": a: no image: expected a member jpg, png or webp, found txt (a name is cut at "
                "its first dot)");
}

TEST(LoaderTest, SkipsAnEmptyShard) {
  const ShardFolder data({2, 0, 2});
  DataOptions options = options_for(data);
  options.streams = 1;
  Loader loader(options, kCaption, 4, 3, Order::kShuffled);
  EXPECT_EQ(sorted_part(loader.next()->keys, 0, 4), data.keys());
  EXPECT_EQ(loader.report().bad_count(), 0U);
}

TEST(LoaderTest, RefusesToResumeWithOtherData) {
  const ShardFolder data({3});
  Loader loader(options_for(data), kCaption, 1, 3, Order::kShuffled, {{5}, {{0, 0, 5}}});
  EXPECT_EQ(
      error_text([&] { loader.next(); }),
      "data.shards: the run was at sample 5 of its shard 1 in epoch 0, where there are 3; the "
      "shards or their indices have changed since, resume with the data that the run began "
      "with");
}

TEST(LoaderTest, RefusesOptionsThatCannotBeMet) {
  const ShardFolder data({1});
  const auto error_of = [&](const DataOptions& options, std::size_t batch_size = 1) {
    return error_text([&] { Loader(options, kCaption, batch_size, 3, Order::kShuffled); });
  };
  EXPECT_EQ(error_of(options_for(data), 0), "batch size: expected at least 1, found 0");
  DataOptions options = options_for(data);
  options.workers = 0;
  options.max_bad_fraction = 2;
  EXPECT_EQ(error_of(options),
            "data: 2 problems\n  max_bad_fraction: expected number from 0 to 1, found 2.0\n  "
            "workers: expected integer from 1 to 1024, found 0");
  options = options_for(data);
  options.shards.clear();
  EXPECT_EQ(error_of(options),
            "data.shards: no shards given; expected paths, brace lists or globs of tars");
  options.caption = "none";
  EXPECT_EQ(
      error_of(options),
      "data.caption: captions are needed here; expected a suffix or json:FIELD, found 'none'");
}

TEST(LoaderTest, StopsWhileItReadsAhead) {
  const ShardFolder data({5, 5});
  DataOptions options = options_for(data);
  options.workers = 4;
  for (int round = 0; round < 20; ++round) {
    Loader loader(options, kCaption, 1, 3, Order::kShuffled);
    take(loader, static_cast<std::size_t>(round % 3));
  }
}

}  // namespace

}  // namespace crescendo::dataloader
