#include "text_encoder/t5.h"

#include <cmath>
#include <map>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/atomic_file.h"
#include "core/module_io.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::text_encoder {
namespace {

T5Options small_options() {
  T5Options options;
  options.vocab_size = 11;
  options.d_model = 8;
  options.d_kv = 3;
  options.d_ff = 12;
  options.num_layers = 2;
  options.num_heads = 2;
  options.relative_attention_num_buckets = 8;
  options.relative_attention_max_distance = 10;
  return options;
}

std::int64_t parameters_of(const torch::nn::Module& module) {
  std::int64_t count = 0;
  for (const at::Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

/// The bucket of a key `distance` tokens after its query; before it when negative.
std::int64_t bucket_of(const at::Tensor& buckets, std::int64_t distance) {
  const at::Tensor entry = distance < 0 ? buckets[-distance][0] : buckets[0][distance];
  return entry.item<std::int64_t>();
}

// Golden numbers of transformers 5.23, T5Attention._relative_position_bucket, bidirectional.
TEST(RelativePositionBucketsTest, AreTheReferences) {
  const at::Tensor buckets = relative_position_buckets(501, T5Options{}, at::kCPU);
  EXPECT_EQ(buckets.sizes(), (std::vector<std::int64_t>{501, 501}));
  EXPECT_EQ(buckets.scalar_type(), at::kLong);
  // Each distance at which a bucket begins, and the one before.
  const std::map<std::int64_t, std::int64_t> golden = {
      {0, 0},   {1, 1},   {2, 2},   {7, 7},    {8, 8},    {11, 8},  {12, 9},  {15, 9},
      {16, 10}, {22, 10}, {23, 11}, {31, 11},  {32, 12},  {45, 12}, {46, 13}, {63, 13},
      {64, 14}, {90, 14}, {91, 15}, {127, 15}, {128, 15}, {500, 15}};
  for (const auto& [distance, bucket] : golden) {
    EXPECT_EQ(bucket_of(buckets, -distance), bucket) << distance << " before";
    const std::int64_t after = distance == 0 ? 0 : bucket + 16;
    EXPECT_EQ(bucket_of(buckets, distance), after) << distance << " after";
  }
}

TEST(RelativePositionBucketsTest, FollowTheOptions) {
  const at::Tensor buckets = relative_position_buckets(16, small_options(), at::kCPU);
  const std::vector<std::int64_t> before = {0, 1, 2, 2, 2, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3, 3};
  const std::vector<std::int64_t> after = {0, 5, 6, 6, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7};
  EXPECT_TRUE(at::equal(buckets.select(1, 0), at::tensor(before)));
  EXPECT_TRUE(at::equal(buckets[0], at::tensor(after)));
}

TEST(RelativePositionBucketsTest, DependOnTheDistanceAlone) {
  const at::Tensor buckets = relative_position_buckets(40, T5Options{}, at::kCPU);
  EXPECT_TRUE(at::equal(buckets.slice(0, 1).slice(1, 1), buckets.slice(0, 0, 39).slice(1, 0, 39)));
}

TEST(T5LayerNormTest, DividesByTheRootMeanSquareAndKeepsTheMean) {
  T5Options options = small_options();
  options.d_model = 2;
  options.layer_norm_epsilon = 0.5;
  T5LayerNorm norm(options);
  norm->parameters().front().detach().copy_(at::tensor({1.0F, -2.0F}));
  const at::Tensor normed = norm(at::tensor({3.0F, 4.0F}).unsqueeze(0));
  const auto scale = static_cast<float>(1.0 / std::sqrt(12.5 + 0.5));
  EXPECT_TRUE(at::allclose(normed[0], at::tensor({3.0F * scale, -8.0F * scale})));
}

TEST(T5EncoderModelTest, PaddingDoesNotChangeTheKeptPositions) {
  T5EncoderModel model(small_options());
  const at::Tensor ids = at::tensor({3, 9, 4, 1}, at::kLong).unsqueeze(0);
  const at::Tensor alone = model->forward(ids, at::ones({1, 4}, at::kBool));
  EXPECT_EQ(alone.sizes(), (std::vector<std::int64_t>{1, 4, 8}));
  const at::Tensor padding = at::tensor({0, 7, 2}, at::kLong).unsqueeze(0);
  const at::Tensor padded = at::cat({ids, padding}, 1);
  const at::Tensor mask = at::cat({at::ones({1, 4}), at::zeros({1, 3})}, 1).to(at::kBool);
  const at::Tensor masked = model->forward(padded, mask).slice(1, 0, 4);
  EXPECT_TRUE(at::allclose(masked, alone, 1e-4, 1e-5));
  const at::Tensor unmasked = model->forward(padded, at::ones_like(mask)).slice(1, 0, 4);
  EXPECT_FALSE(at::allclose(unmasked, alone, 1e-2, 1e-2));
}

TEST(T5EncoderModelTest, EachPromptHasItsOwnMask) {
  T5EncoderModel model(small_options());
  const at::Tensor ids = at::tensor({3, 9, 4, 1, 3, 9, 4, 1}, at::kLong).view({2, 4});
  const at::Tensor mask = at::tensor({1, 1, 1, 1, 1, 1, 0, 0}).view({2, 4}).to(at::kBool);
  const at::Tensor both = model->forward(ids, mask);
  for (std::int64_t i = 0; i < 2; ++i) {
    const at::Tensor one = model->forward(ids.slice(0, i, i + 1), mask.slice(0, i, i + 1));
    EXPECT_TRUE(at::allclose(both[i], one[0], 1e-4, 1e-5)) << i;
  }
  EXPECT_FALSE(at::allclose(both[0], both[1], 1e-2, 1e-2));
}

TEST(T5EncoderModelTest, OrderOfTokensMatters) {
  T5EncoderModel model(small_options());
  const at::Tensor mask = at::ones({1, 3}, at::kBool);
  const at::Tensor forwards = model->forward(at::tensor({3, 9, 4}, at::kLong).view({1, 3}), mask);
  const at::Tensor backwards = model->forward(at::tensor({4, 9, 3}, at::kLong).view({1, 3}), mask);
  EXPECT_FALSE(at::allclose(forwards, backwards.flip(1), 1e-2, 1e-2));
}

TEST(T5EncoderModelTest, CountsItsParameters) {
  T5Options options = small_options();
  EXPECT_EQ(count_parameters(options), parameters_of(*T5EncoderModel(options)));
  options.feed_forward_proj = "gated-gelu";
  EXPECT_EQ(count_parameters(options), parameters_of(*T5EncoderModel(options)));
}

TEST(T5EncoderModelTest, OnlyTheFirstBlockOwnsThePositionBias) {
  const T5EncoderModel model(small_options());
  const std::string rest = ".layer.0.SelfAttention.relative_attention_bias.weight";
  EXPECT_TRUE(state_of(*model).contains("encoder.block.0" + rest));
  EXPECT_FALSE(state_of(*model).contains("encoder.block.1" + rest));
}

TEST(T5EncoderModelTest, SizesAreTheOptions) {
  const T5EncoderModel model(small_options());
  EXPECT_EQ(model->dim(), 8);
  EXPECT_EQ(model->vocab_size(), 11);
  EXPECT_EQ(model->max_positions(), 4096);
}

class LoadT5Test : public testing::Test {
 protected:
  static constexpr const char* kConfig = R"({"model_type": "t5", "vocab_size": 11, "d_model": 8,
      "d_kv": 3, "d_ff": 12, "num_layers": 2, "num_heads": 2,
      "relative_attention_num_buckets": 8, "relative_attention_max_distance": 10})";

  void write(const TensorMap& state) {
    write_file_atomically(folder_ / "config.json", kConfig);
    save_tensors(folder_ / "model.safetensors", state);
  }

  TemporaryFolder folder_;
};

TEST_F(LoadT5Test, Float16IsRefused) {
  write({});
  EXPECT_EQ(error_text([&] { load_t5(folder_.path(), {.dtype = at::kHalf}); }),
            folder_.path().string() +
                ": T5's activations overflow in float16; expected float32 or bfloat16, found "
                "float16");
}

TEST_F(LoadT5Test, Bfloat16MasksThePadding) {
  T5EncoderModel exact(small_options());
  write(state_of(*exact));
  T5EncoderModel loaded = load_t5(folder_.path(), {.dtype = at::kBFloat16});
  exact->eval();
  loaded->eval();
  const at::Tensor mask = at::tensor({1, 1, 1, 0, 0}).to(at::kBool).unsqueeze(0);
  const at::Tensor ids = at::tensor({3, 5, 7, 2, 4}, at::kLong).unsqueeze(0);
  const at::Tensor others = at::tensor({3, 5, 7, 9, 9}, at::kLong).unsqueeze(0);
  const at::Tensor states = loaded->forward(ids, mask).narrow(1, 0, 3);
  EXPECT_EQ(states.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(states, loaded->forward(others, mask).narrow(1, 0, 3)));
  EXPECT_TRUE(
      at::allclose(states.to(at::kFloat), exact->forward(ids, mask).narrow(1, 0, 3), 0.1, 0.1));
}

TEST_F(LoadT5Test, EmbeddingMayHaveEitherNameOrBoth) {
  const std::string shared = "shared.weight";
  const std::string embed_tokens = "encoder.embed_tokens.weight";
  const T5EncoderModel saved(small_options());
  TensorMap state = state_of(*saved);
  const at::Tensor embedding = state.at(shared);
  const auto expect_loads = [&] {
    write(state);
    const TensorMap loaded = state_of(*load_t5(folder_.path()));
    EXPECT_EQ(loaded.size(), state.size());
    for (const auto& [name, tensor] : state) {
      ASSERT_TRUE(loaded.contains(name)) << name;
      EXPECT_TRUE(at::equal(loaded.at(name), tensor)) << name;
    }
  };
  expect_loads();
  state[embed_tokens] = embedding;
  expect_loads();
  state.erase(shared);
  expect_loads();
  state.erase(embed_tokens);
  write(state);
  EXPECT_NE(data_error_text([&] { load_t5(folder_.path()); }), "");
}

TEST_F(LoadT5Test, ConfigMayNotAskForMoreThanTheWeightsHold) {
  const T5EncoderModel model(small_options());
  write(state_of(*model));
  nlohmann::json config = nlohmann::json::parse(kConfig);
  config["vocab_size"] = 12;
  write_file_atomically(folder_ / "config.json", config.dump());
  const std::int64_t held = parameters_of(*model);
  EXPECT_EQ(data_error_text([&] { load_t5(folder_.path()); }),
            fmt::format("{}: the model has more parameters than the weights beside it; expected "
                        "at most {} (model.safetensors), found {}",
                        (folder_ / "config.json").string(), held, held + 8));
}

}  // namespace
}  // namespace crescendo::text_encoder
