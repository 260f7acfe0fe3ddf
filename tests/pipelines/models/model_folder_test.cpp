#include "pipelines/models/model_folder.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/atomic_file.h"
#include "core/fields.h"
#include "core/module_io.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/pipelines/tiny_model.h"
#include "vae/autoencoder_tiny.h"

namespace crescendo::pipelines {
namespace {

namespace fs = std::filesystem;

void expect_same_weights(const torch::nn::Module& left, const torch::nn::Module& right) {
  const TensorMap expected = state_of(right);
  const TensorMap found = state_of(left);
  ASSERT_EQ(found.size(), expected.size());
  for (const auto& [name, tensor] : found)
    EXPECT_TRUE(at::equal(tensor, expected.at(name))) << name;
}

class ModelFolderTest : public testing::TestWithParam<ConditioningKind> {
 protected:
  void save() {
    model_.diffusion.prediction_type = "v_prediction";
    model_.sampler.steps = 17;
    save_model(model_, path_, text_encoder_folder());
  }

  std::string error_of_load() const {
    return error_text([&] { load_model(path_); });
  }

  DiffusionModel model_ = tiny_model(GetParam());
  TemporaryFolder folder_;
  fs::path path_ = folder_ / "model";
};

TEST_P(ModelFolderTest, LoadsWhatWasSaved) {
  save();
  for (const fs::path& path : {path_, folder_.path()}) {  // itself, and the run that holds it
    const DiffusionModel loaded = load_model(path);
    expect_same_weights(*loaded.unet, *model_.unet);
    expect_same_weights(*loaded.vae, *model_.vae);
    EXPECT_EQ(conditioning_kind(loaded.unet->options()), GetParam());
    EXPECT_EQ(loaded.vae->scaling_factor(), 0.7);
    EXPECT_EQ(loaded.diffusion.prediction_type, "v_prediction");
    EXPECT_EQ(loaded.class_names, model_.class_names);
    EXPECT_EQ(loaded.null_class, model_.null_class);
    ASSERT_EQ(loaded.text_encoder != nullptr, GetParam() == ConditioningKind::kText);
  }
}

TEST_P(ModelFolderTest, SavingAgainWritesTheSameBytes) {
  save();
  const fs::path again = folder_ / "again";
  save_model(load_model(path_), again, path_);
  for (const auto& entry : fs::recursive_directory_iterator(path_)) {
    if (!entry.is_regular_file()) continue;
    const fs::path name = fs::relative(entry.path(), path_);
    EXPECT_TRUE(read_file(entry.path()) == read_file(again / name)) << name;
  }
}

TEST_P(ModelFolderTest, NamesTheSchedulerOfItsSampler) {
  model_.sampler = {.sampler = "dpm++2m", .steps = 20, .scheduler = "karras"};
  save();
  const nlohmann::json index = read_json_file(path_ / "model_index.json");
  EXPECT_EQ(index["scheduler"][1], "DPMSolverMultistepScheduler");
  const DiffusionModel loaded = load_model(path_);
  EXPECT_EQ(loaded.sampler.sampler, "dpm++2m");
  EXPECT_EQ(loaded.sampler.scheduler, "karras");
}

TEST_P(ModelFolderTest, MissingPartsAreNamed) {
  save();
  fs::remove_all(path_ / "vae");
  EXPECT_NE(error_of_load().find((path_ / "vae").string()), std::string::npos) << error_of_load();
  fs::remove_all(path_ / "unet");
  EXPECT_NE(error_of_load().find((path_ / "unet").string()), std::string::npos) << error_of_load();
  fs::remove_all(path_ / "scheduler");
  EXPECT_NE(error_of_load().find("scheduler_config.json"), std::string::npos) << error_of_load();
  fs::remove_all(path_ / "model_index.json");
  EXPECT_EQ(error_of_load(),
            path_.string() +
                ": expected a model folder, with model_index.json, unet/, vae/ and "
                "scheduler/, or a run with model/");
}

TEST_P(ModelFolderTest, MissingWeightsAreNamed) {
  save();
  fs::remove(path_ / "unet" / "diffusion_pytorch_model.safetensors");
  EXPECT_TRUE(error_of_load().starts_with((path_ / "unet").string())) << error_of_load();
}

TEST_P(ModelFolderTest, ComponentsOfAnotherModelAreRefused) {
  save();
  fs::remove_all(path_ / "vae");
  vae::save_autoencoder(*vae::AutoencoderTiny(vae::AutoencoderTinyOptions{}), path_ / "vae");
  EXPECT_EQ(error_of_load(), path_.string() +
                                 ": the components do not belong together: the U-Net takes 3 "
                                 "channels, the autoencoder makes 4");
}

INSTANTIATE_TEST_SUITE_P(Kinds, ModelFolderTest,
                         testing::Values(ConditioningKind::kNone, ConditioningKind::kClass,
                                         ConditioningKind::kText));

TEST(TextModelFolderTest, KeepsTheEncoderAndItsLength) {
  const TemporaryFolder folder;
  const DiffusionModel model = tiny_model(ConditioningKind::kText);
  save_model(model, folder / "m", text_encoder_folder());
  const DiffusionModel loaded = load_model(folder / "m");
  EXPECT_EQ(loaded.text_encoder->max_length(), 12);
  const std::vector<std::string> prompts{"red cup", "two birds"};
  EXPECT_TRUE(at::equal(loaded.text_encoder->encode(prompts).context,
                        model.text_encoder->encode(prompts).context));
  const nlohmann::json index = read_json_file(folder / "m" / "model_index.json");
  EXPECT_EQ(index["_class_name"], "StableDiffusionPipeline");
  EXPECT_EQ(index["text_encoder"], (nlohmann::json{"transformers", "BertModel"}));

  nlohmann::json config = read_json_file(folder / "m" / "unet" / "config.json");
  unet::UNet2DConditionOptions options = model.unet->options();
  options.cross_attention_dim = {{24}};
  unet::UNet2DConditionModel wide(options);
  fs::remove_all(folder / "m" / "unet");
  unet::save_unet(wide, folder / "m" / "unet");
  EXPECT_NE(error_text([&] {
              load_model(folder / "m");
            }).find("the U-Net attends to vectors of 24, the text encoder makes 16"),
            std::string::npos);
}

TEST(TextModelFolderTest, CopiesTheEncodersFilesUnchanged) {
  const TemporaryFolder folder;
  DiffusionModel model = tiny_model(ConditioningKind::kText);
  const fs::path first = folder / "first";
  save_model(model, first, text_encoder_folder());
  // What Python's tools write there means nothing to us and is kept.
  const fs::path config = first / "tokenizer" / "tokenizer_config.json";
  const std::string by_hand = R"({"model_max_length":12,   "chat_template": "x"})";
  write_file_atomically(config, by_hand);
  save_model(load_model(first), folder / "second", first);
  EXPECT_EQ(read_file(folder / "second" / "tokenizer" / "tokenizer_config.json"), by_hand);
}

TEST(TextModelFolderTest, CopiesAnEncoderInShards) {
  const TemporaryFolder folder;
  const DiffusionModel model = tiny_model(ConditioningKind::kText);
  const fs::path from = folder / "from";
  fs::copy(text_encoder_folder(), from, fs::copy_options::recursive);
  TensorMap first = load_tensors(from / "model.safetensors");
  TensorMap second;
  second.insert(first.extract(first.begin()));
  nlohmann::json weight_map;
  for (const auto& [name, tensor] : first) weight_map[name] = "1.safetensors";
  for (const auto& [name, tensor] : second) weight_map[name] = "2.safetensors";
  save_tensors(from / "1.safetensors", first);
  save_tensors(from / "2.safetensors", second);
  write_file_atomically(from / "model.safetensors.index.json",
                        nlohmann::json{{"weight_map", weight_map}}.dump());
  fs::remove(from / "model.safetensors");
  save_model(model, folder / "m", from);
  const std::vector<std::string> prompts{"red cup"};
  EXPECT_TRUE(at::equal(load_model(folder / "m").text_encoder->encode(prompts).context,
                        model.text_encoder->encode(prompts).context));
}

TEST(TextModelFolderTest, OpensAsBfloat16ButForTheAutoencoder) {
  const TemporaryFolder folder;
  const DiffusionModel model = tiny_model(ConditioningKind::kText);
  save_model(model, folder / "m", text_encoder_folder());
  const DiffusionModel loaded = load_model(folder / "m", {.dtype = at::kBFloat16});
  EXPECT_EQ(loaded.unet->parameters().front().scalar_type(), at::kBFloat16);
  EXPECT_EQ(loaded.vae->parameters().front().scalar_type(), at::kFloat);
  const std::vector<std::string> prompts{"red cup"};
  const at::Tensor context = loaded.text_encoder->encode(prompts).context;
  EXPECT_EQ(context.scalar_type(), at::kFloat);
  const at::Tensor exact = model.text_encoder->encode(prompts).context;
  EXPECT_FALSE(at::equal(context, exact));
  EXPECT_TRUE(at::allclose(context, exact, 0.05, 0.05));
}

TEST(ModelFolderPartsTest, KeepsTheWeightsBesideTheirAverage) {
  const TemporaryFolder folder;
  const DiffusionModel model = tiny_model(ConditioningKind::kNone);
  const unet::UNet2DConditionModel raw(model.unet->options());
  save_model(model, folder / "m", {}, at::kFloat, raw);
  expect_same_weights(*load_model(folder / "m").unet, *model.unet);
  const fs::path unet = folder / "m" / "unet";
  fs::rename(unet / "diffusion_pytorch_model.non_ema.safetensors",
             unet / "diffusion_pytorch_model.safetensors");
  expect_same_weights(*load_model(folder / "m").unet, *raw);
}

TEST(ModelFolderPartsTest, EitherAutoencoder) {
  const TemporaryFolder folder;
  DiffusionModel model = tiny_model(ConditioningKind::kText);
  model.vae = vae::AutoencoderTiny(vae::AutoencoderTinyOptions{.latent_channels = 3}).ptr();
  save_model(model, folder / "m", text_encoder_folder());
  const nlohmann::json index = read_json_file(folder / "m" / "model_index.json");
  EXPECT_EQ(index["vae"], (nlohmann::json{"diffusers", "AutoencoderTiny"}));
  const DiffusionModel loaded = load_model(folder / "m");
  EXPECT_STREQ(loaded.vae->class_name(), "AutoencoderTiny");
  expect_same_weights(*loaded.vae, *model.vae);
}

TEST(ModelFolderPartsTest, ReplacesAModelThatIsThere) {
  const TemporaryFolder folder;
  save_model(tiny_model(ConditioningKind::kText), folder / "m", text_encoder_folder());
  save_model(tiny_model(ConditioningKind::kNone), folder / "m", {});
  EXPECT_FALSE(fs::exists(folder / "m" / "text_encoder"));
  EXPECT_EQ(conditioning_kind(load_model(folder / "m").unet->options()), ConditioningKind::kNone);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder.path()), {}), 1);
}

TEST(ModelFolderPartsTest, DamagedIndex) {
  const TemporaryFolder folder;
  save_model(tiny_model(ConditioningKind::kClass), folder / "m", {});
  const fs::path index = folder / "m" / "model_index.json";
  write_file_atomically(index, R"({"class_names": "cups"})");
  EXPECT_TRUE(
      data_error_text([&] { load_model(folder / "m"); }).starts_with(index.string() + ": "));
  write_file_atomically(index, "{");
  EXPECT_EQ(data_error_text([&] { load_model(folder / "m"); }),
            index.string() + ": not valid JSON at byte 2");
}

TEST(ModelFolderPartsTest, ClassByNumberOrName) {
  const std::vector<std::string> names{"birds", "cups", "7"};
  EXPECT_EQ(parse_class("cups", names, "--label"), 1);
  EXPECT_EQ(parse_class("1", names, "--label"), 1);
  EXPECT_EQ(parse_class("7", names, "--label"), 2);  // a name comes first
  EXPECT_EQ(parse_class("40", {}, "--label"), 40);
  EXPECT_EQ(error_text([&] { parse_class("cup", names, "--label"); }),
            "--label: expected the number or name of a class, found 'cup'; did you mean 'cups'?");
  for (const char* bad : {"-1", "1x", "", "99999999999999999999"}) {
    EXPECT_TRUE(error_text([&] { parse_class(bad, names, "x"); }).starts_with("x: expected the"));
  }
}

TEST(ModelFolderPartsTest, LatentSide) {
  const DiffusionModel model = tiny_model(ConditioningKind::kNone);
  EXPECT_EQ(model.latent_side(12, "width"), 6);
  for (const std::int64_t bad : {0, -4, 6, 13}) {
    EXPECT_TRUE(error_text([&] {
                  model.latent_side(bad, "width");
                }).starts_with("width: expected a multiple of 4 pixels"));
  }
}

}  // namespace
}  // namespace crescendo::pipelines
