#include "text_encoder/bert.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/atomic_file.h"
#include "core/module_io.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::text_encoder {
namespace {

BertOptions small_options() {
  BertOptions options;
  options.vocab_size = 11;
  options.hidden_size = 8;
  options.num_hidden_layers = 2;
  options.num_attention_heads = 2;
  options.intermediate_size = 12;
  options.max_position_embeddings = 9;
  return options;
}

at::Tensor row(const std::vector<std::int64_t>& values) { return at::tensor(values).unsqueeze(0); }

std::int64_t parameters_of(const torch::nn::Module& module) {
  std::int64_t count = 0;
  for (const at::Tensor& parameter : module.parameters()) count += parameter.numel();
  return count;
}

TEST(BertModelTest, PaddingDoesNotChangeTheKeptPositions) {
  BertModel model(small_options());
  const at::Tensor ids = row({2, 9, 4, 3});
  const at::Tensor alone = model->forward(ids, at::ones({1, 4}, at::kBool));
  EXPECT_EQ(alone.sizes(), (std::vector<std::int64_t>{1, 4, 8}));
  const at::Tensor padded = at::cat({ids, row({0, 7, 5})}, 1);
  const at::Tensor mask = at::cat({at::ones({1, 4}), at::zeros({1, 3})}, 1).to(at::kBool);
  const at::Tensor masked = model->forward(padded, mask).slice(1, 0, 4);
  EXPECT_TRUE(at::allclose(masked, alone, 1e-4, 1e-5));
  const at::Tensor unmasked = model->forward(padded, at::ones_like(mask)).slice(1, 0, 4);
  EXPECT_FALSE(at::allclose(unmasked, alone, 1e-3, 1e-3));
}

TEST(BertModelTest, PositionOfATokenMatters) {
  BertModel model(small_options());
  const at::Tensor states = model->forward(row({4, 4}), at::ones({1, 2}, at::kBool));
  EXPECT_FALSE(at::allclose(states.select(1, 0), states.select(1, 1), 1e-2, 1e-2));
}

TEST(BertModelTest, CountsItsParametersWithoutThePooler) {
  EXPECT_EQ(count_parameters(small_options()), parameters_of(*BertModel(small_options())));
  const BertModel pooled(small_options(), BertExtras{.pooler = true});
  EXPECT_EQ(parameters_of(*pooled) - count_parameters(small_options()), 8 * 8 + 8);
}

TEST(BertModelTest, SizesAreTheOptions) {
  const BertModel model(small_options());
  EXPECT_EQ(model->dim(), 8);
  EXPECT_EQ(model->vocab_size(), 11);
  EXPECT_EQ(model->max_positions(), 9);
}

class LoadBertTest : public testing::Test {
 protected:
  static constexpr const char* kConfig = R"({"model_type": "bert", "vocab_size": 11,
      "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
      "max_position_embeddings": 9})";

  void write(const torch::nn::Module& model) {
    write_file_atomically(folder_ / "config.json", kConfig);
    save_weights(model, folder_ / "model.safetensors");
  }

  TemporaryFolder folder_;
};

TEST_F(LoadBertTest, OpensWhateverExtrasTheFileHolds) {
  const at::Tensor ids = row({2, 9, 4, 3});
  const at::Tensor mask = at::ones({1, 4}, at::kBool);
  for (const BertExtras& extras : {BertExtras{}, BertExtras{.pooler = true},
                                   BertExtras{.pooler = true, .position_ids = true}}) {
    BertModel saved(small_options(), extras);
    write(*saved);
    BertModel loaded = load_bert(folder_.path());
    EXPECT_EQ(state_of(*loaded).contains("pooler.dense.weight"), extras.pooler);
    EXPECT_EQ(state_of(*loaded).contains("embeddings.position_ids"), extras.position_ids);
    EXPECT_TRUE(at::equal(loaded->forward(ids, mask), saved->forward(ids, mask)));
  }
}

TEST_F(LoadBertTest, ConfigMayNotAskForMoreThanTheWeightsHold) {
  const BertModel model(small_options());
  write(*model);
  nlohmann::json config = nlohmann::json::parse(kConfig);
  config["vocab_size"] = 12;
  write_file_atomically(folder_ / "config.json", config.dump());
  const std::int64_t held = parameters_of(*model);
  EXPECT_EQ(data_error_text([&] { load_bert(folder_.path()); }),
            fmt::format("{}: the model has more parameters than the weights beside it; expected "
                        "at most {} (model.safetensors), found {}",
                        (folder_ / "config.json").string(), held, held + 8));
}

}  // namespace
}  // namespace crescendo::text_encoder
