#include "text_encoder/clip.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/atomic_file.h"
#include "core/module_io.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::text_encoder {
namespace {

CLIPTextOptions small_options() {
  CLIPTextOptions options;
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

/// "NAME SHAPE" lines of the module's state, by name.
std::string listing(const torch::nn::Module& module) {
  std::string lines;
  for (const auto& [name, tensor] : state_of(module)) {
    lines += fmt::format("{} [{}]\n", name, fmt::join(tensor.sizes(), ", "));
  }
  return lines;
}

TEST(CLIPTextModelTest, NamesAndShapesAreTheReferences) {
  const std::string golden =
      read_file(CRESCENDO_SOURCE_DIR "/tests/text_encoder/golden/clip_published.txt");
  EXPECT_EQ(listing(*CLIPTextModel(small_options(), CLIPTextNames{.position_ids = true})), golden);
  std::string without;
  for (std::size_t at = 0, end = 0; at < golden.size(); at = end + 1) {
    end = golden.find('\n', at);
    const std::string line = golden.substr(at, end + 1 - at);
    if (line.find("position_ids") == std::string::npos) without += line.substr(line.find('.') + 1);
  }
  EXPECT_EQ(listing(*CLIPTextModel(small_options(), CLIPTextNames{.prefix = false})), without);
}

TEST(CLIPTextModelTest, LaterTokensDoNotChangeEarlierOnes) {
  CLIPTextModel model(small_options());
  const at::Tensor mask = at::ones({1, 4}, at::kBool);
  const at::Tensor states = model->forward(row({2, 9, 4, 3}), mask);
  EXPECT_EQ(states.sizes(), (std::vector<std::int64_t>{1, 4, 8}));
  const at::Tensor changed = model->forward(row({2, 9, 4, 5}), mask);
  EXPECT_TRUE(at::allclose(changed.slice(1, 0, 3), states.slice(1, 0, 3), 1e-4, 1e-5));
  EXPECT_FALSE(at::allclose(changed.select(1, 3), states.select(1, 3), 1e-3, 1e-3));
  const at::Tensor earlier = model->forward(row({6, 9, 4, 3}), mask);
  EXPECT_FALSE(at::allclose(earlier.select(1, 3), states.select(1, 3), 1e-3, 1e-3));
}

TEST(CLIPTextModelTest, PaddingIsMaskedOnlyWhereTheOptionsSaySo) {
  for (const bool masks : {false, true}) {
    CLIPTextOptions options = small_options();
    options.use_attention_mask = masks;
    CLIPTextModel model(options);
    const at::Tensor ids = row({2, 9, 3, 3, 3});
    const at::Tensor mask = at::tensor({1, 1, 1, 0, 0}).to(at::kBool).unsqueeze(0);
    const at::Tensor padded = model->forward(ids, mask);
    const at::Tensor full = model->forward(ids, at::ones_like(mask));
    EXPECT_TRUE(at::allclose(padded.slice(1, 0, 3), full.slice(1, 0, 3), 1e-4, 1e-5));
    EXPECT_EQ(at::allclose(padded, full, 1e-4, 1e-5), !masks);
    EXPECT_TRUE(padded.isfinite().all().item<bool>());
  }
}

TEST(CLIPTextModelTest, CountsItsParameters) {
  EXPECT_EQ(count_parameters(small_options()), parameters_of(*CLIPTextModel(small_options())));
}

TEST(CLIPTextModelTest, SizesAreTheOptions) {
  const CLIPTextModel model(small_options());
  EXPECT_EQ(model->dim(), 8);
  EXPECT_EQ(model->vocab_size(), 11);
  EXPECT_EQ(model->max_positions(), 9);
}

class LoadCLIPTextModelTest : public testing::Test {
 protected:
  static constexpr const char* kConfig = R"({"model_type": "clip_text_model", "vocab_size": 11,
      "hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 12,
      "max_position_embeddings": 9})";

  void write(const torch::nn::Module& model) {
    write_file_atomically(folder_ / "config.json", kConfig);
    save_weights(model, folder_ / "model.safetensors");
  }

  TemporaryFolder folder_;
};

TEST_F(LoadCLIPTextModelTest, OpensEitherKindOfNames) {
  const at::Tensor ids = row({2, 9, 4, 3});
  const at::Tensor mask = at::ones({1, 4}, at::kBool);
  for (const CLIPTextNames& names :
       {CLIPTextNames{}, CLIPTextNames{.position_ids = true}, CLIPTextNames{.prefix = false},
        CLIPTextNames{.prefix = false, .position_ids = true}}) {
    CLIPTextModel saved(small_options(), names);
    write(*saved);
    CLIPTextModel loaded = load_clip_text_model(folder_.path());
    EXPECT_EQ(listing(*loaded), listing(*saved));
    EXPECT_TRUE(at::equal(loaded->forward(ids, mask), saved->forward(ids, mask)));
  }
}

TEST_F(LoadCLIPTextModelTest, ConfigMayNotAskForMoreThanTheWeightsHold) {
  const CLIPTextModel model(small_options());
  write(*model);
  nlohmann::json config = nlohmann::json::parse(kConfig);
  config["vocab_size"] = 12;
  write_file_atomically(folder_ / "config.json", config.dump());
  const std::int64_t held = parameters_of(*model);
  EXPECT_EQ(data_error_text([&] { load_clip_text_model(folder_.path()); }),
            fmt::format("{}: the model has more parameters than the weights beside it; expected "
                        "at most {} (model.safetensors), found {}",
                        (folder_ / "config.json").string(), held, held + 8));
}

}  // namespace
}  // namespace crescendo::text_encoder
