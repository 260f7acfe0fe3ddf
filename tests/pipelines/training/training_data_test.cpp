#include "pipelines/training/training_data.h"

#include <algorithm>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/atomic_file.h"
#include "pipelines/generation/picture.h"
#include "pipelines/index.h"
#include "pipelines/shards/pack.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/pipelines/tiny_model.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kSamples = 10;

/// Ten pictures of two classes in three shards, with a model that encodes them; cached or not.
class TrainingDataTest : public testing::TestWithParam<bool> {
 protected:
  TrainingDataTest() {
    for (std::size_t i = 0; i < kSamples; ++i) {
      dataloader::Image picture{8, 8, {}};
      for (std::size_t k = 0; k < 8 * 8 * 3; ++k) {
        picture.pixels.push_back(static_cast<std::uint8_t>(k * (i + 3) + 7 * i));
      }
      const fs::path stem = folder_ / "pictures" / (i % 2 == 0 ? "a" : "b") / std::to_string(i);
      write_png(stem.string() + ".png", picture);
      write_file_atomically(stem.string() + ".txt", fmt::format("number {}", i));
    }
    pack({.sources = {(folder_ / "pictures").string()},
          .output = folder_ / "shards",
          .max_samples = 4});
    remove_indices();
    options_.data.shards = {(folder_ / "shards" / "*.tar").string()};
    options_.data.resolution = 8;
    options_.data.shuffle_buffer = 3;
    options_.data.streams = 1;
    options_.need = {.caption = true, .label = true, .num_classes = 2};
    options_.batch_size = 3;
    options_.seed = 5;
  }

  std::unique_ptr<TrainingData> open(const dataloader::Position& start = {}) {
    const auto make = GetParam() ? cache_training_data : stream_training_data;
    return make(options_, model_.vae, conditioner_, at::kCPU, start);
  }

  /// So that shards are read in streams.
  void remove_indices() const {
    for (const auto& entry : fs::directory_iterator(folder_ / "shards")) {
      if (entry.path().extension() == ".index") fs::remove(entry.path());
    }
  }

  TemporaryFolder folder_;
  DiffusionModel model_ = tiny_model(ConditioningKind::kText);
  Conditioner conditioner_ = model_.conditioner(at::kCPU);
  TrainingDataOptions options_;
};

TEST_P(TrainingDataTest, GivesEverySampleOnceAnEpoch) {
  const std::unique_ptr<TrainingData> data = open();
  std::vector<std::string> keys;
  std::vector<std::uint64_t> ordinals;
  while (keys.size() < 3 * kSamples) {
    EncodedBatch batch = data->next();
    EXPECT_EQ(batch.keys.size(), 3U);
    keys.insert(keys.end(), batch.keys.begin(), batch.keys.end());
    ordinals.insert(ordinals.end(), batch.ordinals.begin(), batch.ordinals.end());
  }
  std::vector<std::vector<std::string>> epochs;
  for (std::size_t epoch = 0; epoch < 3; ++epoch) {
    const auto first = keys.begin() + static_cast<std::ptrdiff_t>(epoch * kSamples);
    epochs.emplace_back(first, first + kSamples);
    EXPECT_EQ(std::set<std::string>(epochs[epoch].begin(), epochs[epoch].end()).size(), kSamples);
  }
  EXPECT_NE(epochs[0], epochs[1]);
  EXPECT_NE(epochs[1], epochs[2]);
  for (std::size_t i = 0; i < ordinals.size(); ++i) EXPECT_EQ(ordinals[i], i);
}

TEST_P(TrainingDataTest, GoesOnFromAPosition) {
  const std::unique_ptr<TrainingData> data = open();
  for (int i = 0; i < 5; ++i) data->next();  // half way through the second epoch
  const dataloader::Position position =
      position_from(nlohmann::json{{"position", position_to_json(data->position())}});
  EXPECT_EQ(position, data->position());
  EXPECT_EQ(position.epoch(), 1U);
  EXPECT_EQ(position.ordinal(), 15U);
  const std::unique_ptr<TrainingData> resumed = open(position);
  for (int i = 0; i < 6; ++i) {
    const EncodedBatch expected = data->next(), found = resumed->next();
    EXPECT_EQ(found.keys, expected.keys);
    EXPECT_EQ(found.ordinals, expected.ordinals);
    EXPECT_TRUE(at::equal(found.latents.mean, expected.latents.mean));
    EXPECT_TRUE(at::equal(found.latents.logvar, expected.latents.logvar));
    EXPECT_TRUE(
        at::equal(found.condition.encoder_hidden_states, expected.condition.encoder_hidden_states));
    EXPECT_EQ(resumed->position(), data->position());
  }
}

TEST_P(TrainingDataTest, TellsWhatAnEpochIs) {
  EXPECT_EQ(open()->describe(4),
            GetParam()
                ? "10 samples, encoded once and kept in memory, 2.5 steps an epoch"
                : "3 shards in 1 stream (not all indexed: shuffled within each); samples are "
                  "counted as they come");
}

TEST_P(TrainingDataTest, EncodesEachSampleWithItsCaption) {
  const EncodedBatch batch = open()->next();
  ASSERT_EQ(batch.latents.mean.sizes(), (std::vector<std::int64_t>{3, 3, 4, 4}));
  for (std::size_t i = 0; i < batch.keys.size(); ++i) {
    const std::vector<std::string> caption{"number " + batch.keys[i].substr(2)};
    EXPECT_TRUE(at::allclose(batch.condition.encoder_hidden_states[static_cast<std::int64_t>(i)],
                             model_.text_encoder->encode(caption).context[0], 1e-4, 1e-5))
        << batch.keys[i];
  }
  EXPECT_FALSE(batch.latents.mean.requires_grad());
}

TEST_P(TrainingDataTest, GivesTheClassOfEachSample) {
  Conditioner classes = tiny_model(ConditioningKind::kClass).conditioner(at::kCPU);
  const auto make = GetParam() ? cache_training_data : stream_training_data;
  const std::unique_ptr<TrainingData> data = make(options_, model_.vae, classes, at::kCPU, {});
  for (int i = 0; i < 4; ++i) {
    const EncodedBatch batch = data->next();
    for (std::size_t k = 0; k < batch.keys.size(); ++k) {
      EXPECT_EQ(batch.condition.class_labels[static_cast<std::int64_t>(k)].item<std::int64_t>(),
                batch.keys[k].starts_with("a/") ? 0 : 1);
    }
  }
}

TEST_P(TrainingDataTest, RefusesAPositionBeyondTheData) {
  const std::string text = error_text([&] { open({{1000}, {{1, 0, 999}}})->next(); });
  EXPECT_NE(text.find("999"), std::string::npos) << text;
}

INSTANTIATE_TEST_SUITE_P(CachedOrNot, TrainingDataTest, testing::Bool());

class BucketedDataTest : public TrainingDataTest {
 protected:
  /// Pictures of 16x5, 5x16 and 5x5 pixels beside the ten.
  BucketedDataTest() {
    for (std::size_t i = kSamples; i < 2 * kSamples; ++i) {
      dataloader::Image picture{i % 3 == 0 ? 16 : 5, i % 3 == 1 ? 16 : 5, {}};
      for (std::int64_t k = 0; k < picture.width * picture.height * 3; ++k) {
        picture.pixels.push_back(static_cast<std::uint8_t>(static_cast<std::size_t>(k) * i));
      }
      const fs::path stem = folder_ / "pictures" / "a" / std::to_string(i);
      write_png(stem.string() + ".png", picture);
      write_file_atomically(stem.string() + ".txt", fmt::format("number {}", i));
    }
    fs::remove_all(folder_ / "shards");
    pack({.sources = {(folder_ / "pictures").string()}, .output = folder_ / "shards"});
    options_.data.enable_bucket = true;
    options_.data.bucket_reso_steps = 4;
    options_.data.streams = 2;
  }
};

TEST_P(BucketedDataTest, EncodesBatchesOfSeveralShapes) {
  const std::unique_ptr<TrainingData> data = open();
  std::set<std::vector<std::int64_t>> shapes;
  for (int i = 0; i < 30; ++i) {
    const EncodedBatch batch = data->next();
    shapes.insert(batch.latents.mean.sizes().vec());
    EXPECT_EQ(batch.condition.encoder_hidden_states.size(0), 3);
  }
  EXPECT_EQ(shapes,
            (std::set<std::vector<std::int64_t>>{{3, 3, 4, 4}, {3, 3, 6, 2}, {3, 3, 2, 6}}));
}

TEST_P(BucketedDataTest, GoesOnFromAPosition) {
  const std::unique_ptr<TrainingData> data = open();
  for (int i = 0; i < 13; ++i) data->next();
  const nlohmann::json state = nlohmann::json::parse(
      nlohmann::json{{"position", position_to_json(data->position())}}.dump());
  const dataloader::Position position = position_from(state);
  EXPECT_EQ(position, data->position());
  EXPECT_FALSE(position.waiting.empty());
  const std::unique_ptr<TrainingData> resumed = open(position);
  for (int i = 0; i < 20; ++i) {
    const EncodedBatch expected = data->next(), found = resumed->next();
    EXPECT_EQ(found.keys, expected.keys);
    EXPECT_EQ(found.ordinals, expected.ordinals);
    EXPECT_TRUE(at::equal(found.latents.mean, expected.latents.mean));
    EXPECT_EQ(resumed->position(), data->position());
  }
}

TEST_P(BucketedDataTest, IsNotKeptInMemory) {
  EXPECT_EQ(
      error_text([&] { cache_training_data(options_, model_.vae, conditioner_, at::kCPU, {}); }),
      "train.cache_latents: latents in memory are all of one size; with data.enable_bucket, "
      "expected false; `crescendo cache` keeps latents of any size");
  options_.data.enable_bucket = false;
  dataloader::Position start{{9}, {{0, 20, 9}}};
  start.waiting = {{4, {0, 20, 4}}};
  EXPECT_EQ(
      error_text([&] { cache_training_data(options_, model_.vae, conditioner_, at::kCPU, start); }),
      "train.cache_latents: the run gathers its samples in buckets; resume with "
      "cache_latents = false");
}

INSTANTIATE_TEST_SUITE_P(Streamed, BucketedDataTest, testing::Values(false));

using CachedDataTest = TrainingDataTest;

TEST_P(CachedDataTest, RefusesAugmentation) {
  const std::string message =
      "train.cache_latents: a sample is encoded once; expected data.random_flip = false, "
      "data.center_crop = true and data.caption_line = \"all\" or \"first\"";
  options_.data.random_flip = true;
  EXPECT_EQ(error_text([&] { open(); }), message);
  options_.data.random_flip = false;
  options_.data.center_crop = false;
  EXPECT_EQ(error_text([&] { open(); }), message);
  options_.data.center_crop = true;
  options_.data.caption_line = "random";
  EXPECT_EQ(error_text([&] { open(); }), message);
}

TEST_P(CachedDataTest, HasTheOrderOfIndexedShards) {
  const std::unique_ptr<TrainingData> cached = open();
  index_shards({options_.data.shards, false});
  const std::unique_ptr<TrainingData> indexed =
      stream_training_data(options_, model_.vae, conditioner_, at::kCPU, {});
  for (int i = 0; i < 8; ++i) {
    EXPECT_EQ(cached->next().keys, indexed->next().keys);
    EXPECT_EQ(cached->position(), indexed->position());
  }
}

TEST_P(CachedDataTest, RefusesThePositionOfStreams) {
  EXPECT_EQ(error_text([&] {
              open({{8}, {{0, 0, 4}, {0, 0, 4}}});
            }),
            "train.cache_latents: the run read its data in 2 streams; resume with cache_latents = "
            "false");
}

INSTANTIATE_TEST_SUITE_P(Cached, CachedDataTest, testing::Values(true));

TEST(PositionTest, MalformedStateIsDataError) {
  EXPECT_TRUE(data_error_text([] {
                position_from({{"position", 3}});
              }).starts_with("checkpoint state: malformed"));
  EXPECT_TRUE(data_error_text([] {
                position_from(nlohmann::json::object());
              }).starts_with("checkpoint state: malformed"));
  for (const char* text :
       {R"({"next": [], "lanes": []})", R"({"next": [1], "lanes": [[1, 2]]})",
        R"({"next": [-1], "lanes": [["a", 2, 3]]})", R"({"next": 1, "lanes": []})",
        R"({"next": [9], "lanes": [], "turn": "x"})",
        R"({"next": [9], "lanes": [], "waiting": [[1, 0, 0]]})",
        R"({"next": [9], "lanes": [], "waiting": [[5, 0, 0, 5], [4, 0, 0, 4]]})"}) {
    EXPECT_TRUE(data_error_text([&] {
                  position_from({{"position", nlohmann::json::parse(text)}});
                }).starts_with("checkpoint state: malformed"))
        << text;
  }
}

TEST(PositionTest, AStateOfAnEarlierVersionIsNamed) {
  EXPECT_EQ(data_error_text([] {
              position_from({{"position", {{"epoch", 1}, {"sample", 2}, {"ordinal", 3}}}});
            }),
            "checkpoint state: its position in the data is of an earlier version, which read the "
            "samples in another order; begin a new run, with what this one has trained as its "
            "model");
}

TEST(ImagesToTensorTest, MapsBytesToMinusOneToOne) {
  dataloader::Batch batch;
  batch.width = batch.height = 2;
  batch.keys = {"x"};
  batch.images = {0, 255, 51, 0, 0, 0, 0, 0, 0, 0, 0, 255};
  const at::Tensor images = images_to_tensor(batch, at::kCPU);
  ASSERT_EQ(images.sizes(), (std::vector<std::int64_t>{1, 3, 2, 2}));
  EXPECT_TRUE(at::allclose(images[0][0], at::tensor({-1.0F, 1.0F, -0.6F, -1.0F}).view({2, 2})));
  EXPECT_EQ(images[0][2][1][1].item<float>(), 1.0F);
}

}  // namespace
}  // namespace crescendo::pipelines
