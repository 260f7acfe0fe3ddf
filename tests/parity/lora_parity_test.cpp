#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/lora.h"
#include "diffusion/noise_schedule.h"
#include "pipelines/models/lora_file.h"
#include "tests/parity/fixtures.h"
#include "tests/parity/training_parity.h"
#include "text_encoder/clip.h"
#include "unet/unet_2d_condition.h"

namespace crescendo::pipelines {
namespace {

constexpr double kLoraAtol = 1e-5;  // float32; outputs are about 1

double difference(const at::Tensor& left, const at::Tensor& right) {
  return (left - right).abs().max().item<double>();
}

unet::Conditioning condition_of(const TensorMap& tensors) {
  unet::Conditioning condition;
  condition.encoder_hidden_states = tensors.at("encoder_hidden_states");
  return condition;
}

struct LayoutCase {
  const char* folder;
  const char* file;
  const char* layout;
};

class LoraLayoutParityTest : public testing::TestWithParam<LayoutCase> {};

TEST_P(LoraLayoutParityTest, MergedUnetEqualsThatOfPeft) {
  const auto [name, file, layout] = GetParam();
  const auto folder = parity_fixtures() / "lora" / name;
  unet::UNet2DConditionModel model = unet::load_unet(folder);
  const TensorMap io = load_tensors(folder / "io.safetensors");
  const auto output = [&] { return model(io.at("sample"), io.at("timestep"), condition_of(io)); };
  EXPECT_GT(difference(output(), io.at("output")), 0.1);  // or the LoRA would prove nothing
  const StoredLora lora = read_lora(folder / file);
  EXPECT_EQ(lora.layout, layout);
  merge_lora(*model, place_lora(lora, "unet", *model), 1);
  EXPECT_LT(difference(output(), io.at("output")), kLoraAtol);
}

INSTANTIATE_TEST_SUITE_P(
    Files, LoraLayoutParityTest,
    testing::Values(LayoutCase{"attention", "peft.safetensors", "peft"},
                    LayoutCase{"attention", "unprefixed.safetensors", "peft"},
                    LayoutCase{"attention", "diffusers.safetensors", "diffusers"},
                    LayoutCase{"attention", "processor.safetensors", "processor"},
                    LayoutCase{"attention", "kohya.safetensors", "kohya"},
                    LayoutCase{"everything", "peft.safetensors", "peft"},
                    LayoutCase{"everything", "unprefixed.safetensors", "peft"},
                    LayoutCase{"everything", "diffusers.safetensors", "diffusers"},
                    LayoutCase{"everything", "kohya.safetensors", "kohya"}));

class LoraTrainingParityTest : public testing::TestWithParam<const char*> {};

/// A, B and alpha as the configuration in the file says.
Lora lora_of(const std::filesystem::path& file, const torch::nn::Module& model) {
  const auto metadata = SafetensorsFile(file).header().metadata;
  const auto config = nlohmann::json::parse(metadata.at("lora_adapter_metadata"));
  const LoraOptions options{.rank = config.at("r").get<std::int64_t>(),
                            .alpha = config.at("lora_alpha").get<double>(),
                            .target_modules = config.at("target_modules")};
  Lora lora(lora_targets(model, options), options, 0);
  load_weights(*lora, file);
  return lora;
}

TEST_P(LoraTrainingParityTest, AAndBAfterTenStepsEqualThoseOfPeft) {
  const auto folder = parity_fixtures() / "lora" / GetParam();
  unet::UNet2DConditionModel model = unet::load_unet(folder);
  for (at::Tensor& parameter : model->parameters()) parameter.set_requires_grad(false);
  const Lora lora = lora_of(folder / "unprefixed.safetensors", *model);
  std::vector<std::string> names;
  for (const auto& [name, layer] : lora->layers()) names.push_back(name);
  AdaptedWeights adapted(lora_targets(*model, {.target_modules = names}));
  const diffusion::NoiseSchedule schedule(diffusion::DiffusionOptions{});
  expect_equal_training(lora.ptr(), folder, [&](const TensorMap& batch) {
    adapted.apply(lora->layers());
    const at::Tensor sample =
        schedule.add_noise(batch.at("x0"), batch.at("noise"), batch.at("timestep"));
    const at::Tensor prediction = model(sample, batch.at("timestep"), condition_of(batch));
    return at::mse_loss(prediction, batch.at("noise"));
  });
}

INSTANTIATE_TEST_SUITE_P(Cases, LoraTrainingParityTest, testing::Values("attention", "everything"));

class LoraTextParityTest : public testing::TestWithParam<const char*> {};

TEST_P(LoraTextParityTest, MergedTextEncoderEqualsThatOfPeft) {
  const auto folder = parity_fixtures() / "lora" / "text_encoder";
  text_encoder::CLIPTextModel model = text_encoder::load_clip_text_model(folder);
  const TensorMap io = load_tensors(folder / "io.safetensors");
  const at::Tensor mask = at::ones_like(io.at("ids")).to(at::kBool);
  EXPECT_GT(difference(model(io.at("ids"), mask), io.at("output")), 0.1);
  const StoredLora lora = read_lora(folder / GetParam());
  EXPECT_TRUE(place_lora(lora, "unet", *model).empty());
  merge_lora(*model, place_lora(lora, "text_encoder", *model), 1);
  EXPECT_LT(difference(model(io.at("ids"), mask), io.at("output")), kLoraAtol);
}

INSTANTIATE_TEST_SUITE_P(Files, LoraTextParityTest,
                         testing::Values("peft.safetensors", "kohya.safetensors"));

}  // namespace
}  // namespace crescendo::pipelines
