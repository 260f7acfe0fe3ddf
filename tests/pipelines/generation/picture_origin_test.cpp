#include "pipelines/generation/picture_origin.h"

#include <gtest/gtest.h>

#include "dataloader/decode_image.h"
#include "pipelines/generation/encode_picture.h"
#include "pipelines/generation/webui_names.h"
#include "tests/core/error_text.h"

namespace crescendo::pipelines {
namespace {

PictureOrigin some_origin() {
  PictureOrigin origin;
  origin.model.path = "models/sd15/";
  origin.request = {.prompt = "a cat, 4k", .negative_prompt = "dog", .seed = 7};
  origin.options.sampler = {.sampler = "euler_a", .steps = 20, .scheduler = "karras"};
  origin.options.cfg_scale = 7;
  origin.options.width = 512;
  origin.options.height = 768;
  return origin;
}

std::string without_version(const std::string& text) {
  return text.substr(0, text.find(", Version: "));
}

TEST(ParametersTextTest, IsWrittenAsTheWebUiDoes) {
  EXPECT_EQ(without_version(parameters_text(some_origin())),
            "a cat, 4k\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, Schedule type: Karras, "
            "CFG scale: 7, Seed: 7, Size: 512x768, Model: sd15");
}

TEST(ParametersTextTest, TellsWhatIsNotUsual) {
  PictureOrigin origin = some_origin();
  origin.model.path = "a,b.safetensors";
  origin.model.loras = {{"x/style.safetensors", 0.5}, {"fox", 1}};
  origin.request.negative_prompt = "";
  origin.options.sampler.scheduler = "discrete";
  origin.options.guidance_end = 0.8;
  origin.options.guidance_rescale = 0.7;
  origin.options.initial = InitialPicture{.strength = 0.6};
  EXPECT_EQ(without_version(parameters_text(origin)),
            "a cat, 4k\nSteps: 20, Sampler: Euler a, Schedule type: Uniform, CFG scale: 7, Seed: "
            "7, Size: 512x768, Model: "
            "\"a,b\", Denoising strength: 0.6, CFG Rescale: 0.7, Guidance interval: 0-0.8, Loras: "
            "\"style: 0.5, fox: 1\"");
}

TEST(ParametersTextTest, ClassesAndNothing) {
  PictureOrigin origin = some_origin();
  origin.request = {.label = 3};
  origin.label = "birds";
  EXPECT_TRUE(parameters_text(origin).starts_with("class birds\nSteps: 20, "));
  EXPECT_NE(parameters_text(origin).find(", Class: birds, "), std::string::npos);
  origin.label = "";
  EXPECT_TRUE(parameters_text(origin).starts_with("Steps: 20, "));
}

TEST(SamplerNameTest, ThereAndBack) {
  diffusion::SamplerOptions options;
  for (const Field& field : diffusion::fields(options)) {
    if (std::string(field.name) != "sampler") continue;
    for (const std::string& name : field.choices) {
      EXPECT_EQ(choose_sampler(webui_sampler_name(name), "")->sampler, name);
      EXPECT_EQ(choose_sampler(name, "")->sampler, name);
    }
  }
  EXPECT_EQ(webui_sampler_name("dpm++2m_sde"), "DPM++ 2M SDE");
  EXPECT_FALSE(choose_sampler("UniPC", ""));
  EXPECT_FALSE(choose_sampler("Euler", "Beta"));
}

class EncodePictureTest : public testing::Test {
 protected:
  std::string encoded(PictureFormat format, const std::string& parameters) const {
    const std::vector<std::byte> bytes =
        encode_picture(picture_, format, {parameters, {{"seed", 7}}});
    const dataloader::Image read = dataloader::decode_image(bytes);
    EXPECT_EQ(read.width, picture_.width);
    EXPECT_EQ(read.height, picture_.height);
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
  }

  dataloader::Image picture_{24, 16, std::vector<std::uint8_t>(24 * 16 * 3, 100)};
};

TEST_F(EncodePictureTest, PngHasBothTexts) {
  const std::string png = encoded(PictureFormat::kPng, "a \u732B\nSteps: 2");
  const auto texts = dataloader::read_image_text(std::as_bytes(std::span(png)));
  EXPECT_EQ(texts, (std::map<std::string, std::string>{{"parameters", "a \u732B\nSteps: 2"},
                                                       {"crescendo", "{\"seed\":7}"}}));
}

TEST_F(EncodePictureTest, JpegAndWebpHaveTheParametersAsUserComment) {
  // "UNICODE", then UTF-16, big-endian, as the web UI writes it; the last is beyond the first
  // plane.
  const std::string comment("UNICODE\0\0a\x73\x2B\xD8\x3D\xDE\x00", 16);
  for (const PictureFormat format : {PictureFormat::kJpeg, PictureFormat::kWebp}) {
    EXPECT_NE(encoded(format, "a\u732B\U0001F600").find(comment), std::string::npos);
  }
}

TEST_F(EncodePictureTest, TooLongATextForJpegIsLeftOut) {
  EXPECT_LT(encoded(PictureFormat::kJpeg, std::string(40'000, 'x')).size(), 5000U);
  EXPECT_GT(encoded(PictureFormat::kWebp, std::string(40'000, 'x')).size(), 80'000U);
}

TEST_F(EncodePictureTest, WithoutTextsThereAreNone) {
  const std::vector<std::byte> png = encode_picture(picture_, PictureFormat::kPng, {});
  EXPECT_TRUE(dataloader::read_image_text(png).empty());
  const std::vector<std::byte> jpeg = encode_picture(picture_, PictureFormat::kJpeg, {});
  EXPECT_TRUE(dataloader::read_image_text(jpeg).empty());
}

TEST(PictureFormatTest, IsKnownBySuffix) {
  EXPECT_EQ(picture_format("a/B.JPEG"), PictureFormat::kJpeg);
  EXPECT_EQ(picture_format("b.webp"), PictureFormat::kWebp);
  EXPECT_FALSE(is_picture_name("png"));
  EXPECT_EQ(error_text([] { picture_format("x.gif"); }),
            "x.gif: expected a name ending in .png, .jpg, .jpeg or .webp");
}

}  // namespace
}  // namespace crescendo::pipelines
