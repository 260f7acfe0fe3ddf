#include "pipelines/parameters_request.h"

#include <gtest/gtest.h>

#include "pipelines/generation/picture_origin.h"
#include "tests/core/error_text.h"

namespace crescendo::pipelines {
namespace {

GenerateRequest request_of(const std::string& fields) {
  return request_of_parameters("a cat\nSteps: 20, Seed: 7, " + fields, "x.png");
}

TEST(ParametersRequestTest, TakesWhatThereIsHere) {
  const GenerateRequest request =
      request_of("Sampler: Euler a, CFG scale: 6.5, Size: 512x768, Model: sd15, Model hash: 1");
  EXPECT_EQ(request.prompts, std::vector<std::string>{"a cat"});
  EXPECT_EQ(request.steps, 20);
  EXPECT_EQ(request.seed, 7U);
  EXPECT_EQ(request.sampler, "euler_a");
  EXPECT_EQ(request.scheduler, "discrete");
  EXPECT_EQ(request.cfg_scale, 6.5);
  EXPECT_EQ(request.width, 512);
  EXPECT_EQ(request.height, 768);
  EXPECT_EQ(request.model.path, "sd15");
}

TEST(ParametersRequestTest, ASchedulerThatIsUnknownLeavesTheSampler) {
  const GenerateRequest request = request_of("Sampler: DPM++ 2M, Schedule type: Beta");
  EXPECT_EQ(request.sampler, "dpm++2m");
  EXPECT_EQ(request.scheduler, "karras");
  EXPECT_FALSE(request_of("Sampler: UniPC, Schedule type: Karras").sampler);
}

TEST(ParametersRequestTest, EtaIsOfDdimAlone) {
  EXPECT_EQ(request_of("Sampler: DDIM, Eta: 0.5").eta, 0.5);
  EXPECT_FALSE(request_of("Sampler: Euler a, Eta: 0.5").eta);
}

TEST(ParametersRequestTest, StrengthIsOfAPictureAndNotOfASecondPass) {
  EXPECT_EQ(request_of("Sampler: DDIM, Denoising strength: 0.4").strength, 0.4);
  EXPECT_EQ(request_of("Sampler: DDIM, Denoising strength: 0.4, Hires upscale: 2").strength,
            GenerateRequest().strength);
}

TEST(ParametersRequestTest, OurOwnTextIsTakenWhole) {
  PictureOrigin origin;
  origin.label = "red birds, small";
  origin.request = {.label = 3, .seed = 5};
  origin.options = {.sampler = {.sampler = "dpm++2m_sde", .steps = 9, .scheduler = "karras"},
                    .cfg_scale = 2,
                    .guidance_start = 0.00005,
                    .guidance_end = 0.8,
                    .guidance_rescale = 0.7,
                    .width = 16,
                    .height = 24};
  const GenerateRequest request = request_of_parameters(parameters_text(origin), "x.jpg");
  EXPECT_EQ(request.labels, std::vector<std::string>{"red birds, small"});
  EXPECT_TRUE(request.prompts.empty());
  EXPECT_EQ(request.seed, 5U);
  EXPECT_EQ(request.sampler, "dpm++2m_sde");
  EXPECT_EQ(request.scheduler, "karras");
  EXPECT_EQ(request.steps, 9);
  EXPECT_EQ(request.cfg_scale, 2);
  EXPECT_EQ(request.guidance_start, 0.00005);
  EXPECT_EQ(request.guidance_end, 0.8);
  EXPECT_EQ(request.guidance_rescale, 0.7);
  EXPECT_EQ(request.width, 16);
  EXPECT_EQ(request.height, 24);
}

TEST(ParametersRequestTest, MalformedFieldsAreNamed) {
  const auto message = [](const std::string& text) {
    return error_text([&] { request_of_parameters(text, "x.png"); });
  };
  EXPECT_EQ(message("Steps: 1, Size: 512, Seed: 1"),
            "x.png: the text 'parameters' is malformed at Size: 512");
  EXPECT_EQ(message("Steps: 1, Size: 512x8y, Seed: 1"),
            "x.png: the text 'parameters' is malformed at Size: 512x8y");
  EXPECT_EQ(message("Steps: 1, Size: 8x8, Seed: -1"),
            "x.png: the text 'parameters' is malformed at Seed: -1");
  EXPECT_EQ(message("a holiday picture"),
            "x.png: expected a text with fields as 'Steps: 20, Sampler: Euler a, ...', found "
            "none");
  EXPECT_EQ(message("Steps: 1, Aa: 1, Bb: 1\n\nSteps: 1, Aa: 1, Bb: 1"),
            "x.png: a grid of pictures; expected one picture");
}

}  // namespace
}  // namespace crescendo::pipelines
