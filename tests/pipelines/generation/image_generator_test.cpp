#include "pipelines/generation/image_generator.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/tensor_io.h"
#include "tests/core/error_text.h"
#include "tests/pipelines/tiny_model.h"

namespace crescendo::pipelines {
namespace {

constexpr double kGrey = 2.0 / 255;  ///< one of 255 levels, in [-1, 1]

GenerationOptions options_of(double cfg_scale, const std::string& sampler = "ddim") {
  GenerationOptions options{.sampler = {}, .cfg_scale = cfg_scale, .width = 8, .height = 12};
  options.sampler.sampler = sampler;
  options.sampler.steps = 4;
  return options;
}

at::Tensor draw(const DiffusionModel& model, const GenerationOptions& options,
                const std::vector<ImageRequest>& requests) {
  return ImageGenerator(model, at::kCPU).generate(requests, options);
}

double difference(const at::Tensor& left, const at::Tensor& right) {
  return (left - right).abs().max().item<double>();
}

std::vector<ImageRequest> five_requests(ConditioningKind kind) {
  std::vector<ImageRequest> requests(5);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].seed = 40 + i;
    if (kind == ConditioningKind::kText) requests[i].prompt = "cup number " + std::to_string(i);
    if (kind == ConditioningKind::kClass) requests[i].label = static_cast<std::int64_t>(i % 2);
  }
  return requests;
}

class ImageGeneratorTest : public testing::TestWithParam<ConditioningKind> {};

TEST_P(ImageGeneratorTest, PictureIsAFunctionOfItsRequestAlone) {
  const DiffusionModel model = tiny_model(GetParam());
  const std::vector<ImageRequest> requests = five_requests(GetParam());
  for (const char* sampler : {"ddim", "ddpm", "dpm++2m_sde"}) {  // the last two draw noise
    const GenerationOptions options = options_of(3, sampler);
    const at::Tensor together = draw(model, options, requests);
    ASSERT_EQ(together.sizes(), (std::vector<std::int64_t>{5, 3, 12, 8}));
    EXPECT_GT(difference(together[0], together[1]), kGrey);
    for (std::size_t i = 0; i < requests.size(); ++i) {
      const at::Tensor alone = draw(model, options, {requests[i]});
      EXPECT_LT(difference(alone[0], together[static_cast<std::int64_t>(i)]), kGrey) << i;
    }
    const at::Tensor reversed = draw(model, options, {requests.rbegin(), requests.rend()});
    EXPECT_LT(difference(reversed.flip(0), together), kGrey);
  }
}

INSTANTIATE_TEST_SUITE_P(Kinds, ImageGeneratorTest,
                         testing::Values(ConditioningKind::kNone, ConditioningKind::kClass,
                                         ConditioningKind::kText));

TEST(InitialLatentsTest, StandInForTheSeeds) {
  const DiffusionModel model = tiny_model(ConditioningKind::kNone);
  const GenerationOptions options = options_of(1);
  const at::Tensor drawn = draw(model, options, {{.seed = 3}, {.seed = 4}});
  const std::vector<std::int64_t> shape{model.vae->latent_channels(),
                                        model.latent_side(options.height, ""),
                                        model.latent_side(options.width, "")};
  const at::Tensor latents = random_normal(shape, 4, Purpose::kInitialLatents, 0);
  const at::Tensor given = draw(model, options, {{.seed = 3}, {.seed = 9, .latents = latents}});
  EXPECT_TRUE(at::equal(given, drawn));
  EXPECT_EQ(error_text([&] { draw(model, options, {{.latents = latents[0]}}); }),
            fmt::format("latents: expected [{}] for a picture, found [{}]", fmt::join(shape, ", "),
                        fmt::join(latents[0].sizes(), ", ")));
}

TEST(GuidanceTest, ScaleOneIsUnguided) {
  const DiffusionModel model = tiny_model(ConditioningKind::kText);
  const std::vector<ImageRequest> request{{.prompt = "cup", .seed = 3}};
  const at::Tensor unguided = draw(model, options_of(1), request);
  EXPECT_LT(difference(draw(model, options_of(1 + 1e-9), request), unguided), 1e-4);
  EXPECT_GT(difference(draw(model, options_of(30), request), unguided), 1e-3);
  std::vector<ImageRequest> negative = request;
  negative[0].negative_prompt = "bird";
  EXPECT_TRUE(at::equal(draw(model, options_of(1), negative), unguided));
}

TEST(GuidanceTest, NegativePromptMatters) {
  const DiffusionModel model = tiny_model(ConditioningKind::kText);
  const ImageRequest plain{.prompt = "cup", .seed = 3};
  ImageRequest negative = plain;
  negative.negative_prompt = "a bird, a star";
  const at::Tensor pictures = draw(model, options_of(30), {plain, negative});
  EXPECT_GT(difference(pictures[0], pictures[1]), 1e-3);
}

TEST(GuidanceTest, ZeroIsTheNegativePrompt) {
  const DiffusionModel model = tiny_model(ConditioningKind::kText);
  const at::Tensor led = draw(model, options_of(0), {{.prompt = "cup", .negative_prompt = "bird"}});
  EXPECT_LT(difference(led, draw(model, options_of(1), {{.prompt = "bird"}})), 1e-4);
}

TEST(GuidanceTest, ClassModelWithoutNullClassIsRefused) {
  DiffusionModel model = tiny_model(ConditioningKind::kClass);
  model.null_class.reset();
  EXPECT_EQ(error_text([&] { ImageGenerator(model, at::kCPU).check(options_of(2.5)); }),
            "cfg_scale: this model has no class that stands for none, because it was trained with "
            "train.proportion_empty_prompts = 0; expected 1, found 2.5");
  EXPECT_EQ(error_text([&] { ImageGenerator(model, at::kCPU).check(options_of(1)); }), "");
}

TEST(GuidanceTest, UnconditionalModelHasNothingToLeadTo) {
  const DiffusionModel model = tiny_model(ConditioningKind::kNone);
  EXPECT_TRUE(at::equal(draw(model, options_of(7.5), {{.seed = 1}}),
                        draw(model, options_of(1), {{.seed = 1}})));
}

TEST(ImageGeneratorErrorTest, SizesAndSteps) {
  const DiffusionModel model = tiny_model(ConditioningKind::kNone);
  GenerationOptions options = options_of(1);
  options.width = 10;
  EXPECT_TRUE(error_text([&] {
                ImageGenerator(model, at::kCPU).check(options);
              }).starts_with("width: expected a multiple of 4 pixels"));
  options = options_of(1);
  options.sampler.steps = 1001;
  EXPECT_NE(error_text([&] {
              ImageGenerator(model, at::kCPU).check(options);
            }).find("expected at most 1000"),
            std::string::npos);
}

TEST(ImageGeneratorProgressTest, TellsEachStep) {
  const DiffusionModel model = tiny_model(ConditioningKind::kNone);
  ImageGenerator generator(model, at::kCPU);
  std::vector<std::int64_t> told;
  const std::vector<ImageRequest> requests(1);
  const auto count = [&](std::int64_t done, std::int64_t steps, const at::Tensor& x0) {
    EXPECT_EQ(steps, 4);
    EXPECT_EQ(generator.preview(x0).front().pixels.size(), 4U * 6 * 3);
    told.push_back(done);
  };
  generator.generate(requests, options_of(1), count);
  EXPECT_EQ(told, (std::vector<std::int64_t>{1, 2, 3, 4}));
}

TEST(VaeTilingTest, MakesTheSamePictureButForTheSeams) {
  DiffusionModel model = tiny_model(ConditioningKind::kNone);
  GenerationOptions options = options_of(1);
  options.width = 40;  // more than the autoencoder's sample_size
  const std::vector<ImageRequest> requests{{.seed = 1}, {.seed = 2}};
  const at::Tensor whole = draw(model, options, requests);
  model.vae->enable_slicing();
  EXPECT_LT(difference(draw(model, options, requests), whole), 1e-4);
  model.vae->enable_tiling();
  const at::Tensor tiled = draw(model, options, requests);
  ASSERT_EQ(tiled.sizes(), whole.sizes());
  EXPECT_GT(difference(tiled, whole), 0);
  EXPECT_LT(difference(tiled, whole), 1);
}

}  // namespace
}  // namespace crescendo::pipelines
