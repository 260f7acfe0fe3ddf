#include "pipelines/serving/paint_request.h"

#include <gtest/gtest.h>

#include "core/base64.h"
#include "dataloader/encode_image.h"
#include "pipelines/serving/api_error.h"
#include "tests/pipelines/serving/test_painter.h"

namespace crescendo::pipelines {
namespace {

const RequestLimits kLimits{.max_pixels = 256 * 256, .max_pictures = 4};

ServedModel model(const std::string& conditioning = "text") {
  return TestPainter(conditioning).painter().model;
}

ParsedRequest parse(const Json& body, bool with_image = false,
                    const std::string& conditioning = "text") {
  return parse_paint_request(body.dump(), with_image, model(conditioning), kLimits);
}

/// The status and message of the refusal, or "" for none.
std::string refusal(const std::string& body, bool with_image = false,
                    const std::string& conditioning = "text") {
  try {
    parse_paint_request(body, with_image, model(conditioning), kLimits);
  } catch (const ApiError& error) {
    return fmt::format("{} {}", error.status(), error.what());
  }
  return "";
}

std::string image(std::int64_t width, std::int64_t height, std::uint8_t shade = 7) {
  return to_base64(plain_png(width, height, shade));
}

TEST(PaintRequestTest, WhatIsNotGivenIsAsTheModelSays) {
  const PaintRequest paint = parse({{"prompt", "a cat"}}).paint;
  EXPECT_EQ(paint.prompt, "a cat");
  EXPECT_EQ(paint.width, 64);
  EXPECT_EQ(paint.height, 64);
  EXPECT_EQ(paint.steps, 4);
  EXPECT_EQ(paint.sampler, "euler");
  EXPECT_EQ(paint.cfg_scale, 7);
  EXPECT_EQ(paint.count, 1);
  EXPECT_FALSE(paint.init_image);
}

TEST(PaintRequestTest, TakesTheFieldsOfAClient) {
  const ParsedRequest parsed = parse({{"prompt", "a cat"},
                                      {"negative_prompt", "a dog"},
                                      {"seed", 5},
                                      {"steps", 20.0},
                                      {"cfg_scale", 3.5},
                                      {"width", 128},
                                      {"height", 64},
                                      {"sampler_name", "DPM++ 2M"},
                                      {"scheduler", "Karras"},
                                      {"batch_size", 2},
                                      {"n_iter", 2},
                                      {"force_task_id", "t1"},
                                      {"send_images", false},
                                      {"eta", 0.5}});
  const PaintRequest& paint = parsed.paint;
  EXPECT_EQ(paint.negative_prompt, "a dog");
  EXPECT_EQ(paint.seed, 5U);
  EXPECT_EQ(paint.steps, 20);
  EXPECT_EQ(paint.cfg_scale, 3.5);
  EXPECT_EQ(paint.width, 128);
  EXPECT_EQ(paint.sampler, "dpm++2m");
  EXPECT_EQ(paint.scheduler, "karras");
  EXPECT_EQ(paint.batch_size, 2);
  EXPECT_EQ(paint.count, 4);
  EXPECT_EQ(paint.eta, 0) << "is of ddim alone";
  EXPECT_EQ(parsed.task_id, "t1");
  EXPECT_FALSE(parsed.send_images);
  EXPECT_EQ(parsed.warnings, std::vector<std::string>{});
}

TEST(PaintRequestTest, NullIsNotGiven) {
  const ParsedRequest parsed = parse({{"prompt", nullptr},
                                      {"steps", nullptr},
                                      {"sampler_name", nullptr},
                                      {"styles", nullptr},
                                      {"override_settings", nullptr}});
  EXPECT_EQ(parsed.paint.steps, 4);
  EXPECT_EQ(parsed.paint.sampler, "euler");
}

TEST(PaintRequestTest, ASeedByChanceIsAnother) {
  EXPECT_NE(parse({{"seed", -1}}).paint.seed, parse({{"seed", -1}}).paint.seed);
}

TEST(PaintRequestTest, RefusesByNameWhatThereIsNot) {
  EXPECT_EQ(refusal(R"({"enable_hr":true})"),
            "422 enable_hr: not supported; expected it absent or false");
  EXPECT_EQ(refusal(R"({"styles":["x"]})"), "422 styles: not supported; expected it absent or []");
  EXPECT_EQ(refusal(R"({"override_settings":{"sd_vae":"x"}})"),
            "422 override_settings: not supported: 'sd_vae'");
  EXPECT_EQ(refusal(R"({"override_settings":{"sd_model_checkpoint":"other"}})"),
            "422 override_settings: not supported: 'sd_model_checkpoint'");
  EXPECT_EQ(refusal(R"({"override_settings":{"sd_model_checkpoint":"tiny"}})"), "");
}

TEST(PaintRequestTest, AnUnknownFieldIsIgnoredWithAWarning) {
  EXPECT_EQ(parse({{"shininess", 3}, {"hr_scale", 2}}).warnings,
            std::vector<std::string>{"shininess: unknown; ignored"});
}

TEST(PaintRequestTest, RefusesOtherTypesAndRanges) {
  EXPECT_EQ(refusal("{").substr(0, 18), "400 body: no JSON:");
  EXPECT_EQ(refusal("\"\xff\"").substr(0, 18), "400 body: no JSON:");
  EXPECT_EQ(refusal("[]"), "422 body: expected a JSON object, found array");
  EXPECT_EQ(refusal(R"({"prompt":3})"), "422 prompt: expected a string, found number");
  EXPECT_EQ(refusal(R"({"steps":"20"})"), "422 steps: expected a number, found string");
  EXPECT_EQ(refusal(R"({"steps":1.5})"), "422 steps: expected an integer, found 1.5");
  EXPECT_EQ(refusal(R"({"steps":0})"), "422 steps: expected 1 to 1000, found 0");
  EXPECT_EQ(refusal(R"({"cfg_scale":-1})"), "422 cfg_scale: expected 0 to 100, found -1");
  EXPECT_EQ(refusal(R"({"seed":1e300})").substr(0, 9), "422 seed:");
  EXPECT_EQ(refusal(R"({"send_images":"yes"})"),
            "422 send_images: expected true or false, found string");
  EXPECT_EQ(refusal(R"({"prompt":")" + std::string(100'001, 'a') + "\"}"),
            "422 prompt: expected at most 100000 bytes, found 100001");
}

TEST(PaintRequestTest, SidesAreMultiplesAndBounded) {
  EXPECT_EQ(refusal(R"({"width":100})"),
            "422 width: expected a multiple of 8, as 96 or 104, found 100");
  EXPECT_EQ(refusal(R"({"height":3})"), "422 height: expected a multiple of 8, as 8, found 3");
  EXPECT_EQ(refusal(R"({"width":256,"height":264})"),
            "422 width: expected at most 65536 pixels (width x height), found 256x264");
  EXPECT_EQ(refusal(R"({"width":256,"height":256})"), "");
}

TEST(PaintRequestTest, PicturesAreBounded) {
  EXPECT_EQ(refusal(R"({"batch_size":2,"n_iter":3})"),
            "422 n_iter: expected at most 4 pictures (batch_size x n_iter), found 6");
  EXPECT_EQ(refusal(R"({"batch_size":5})"), "422 batch_size: expected 1 to 4, found 5");
}

TEST(PaintRequestTest, AClassIsALabelOrThePrompt) {
  EXPECT_EQ(parse({{"label", "cups"}}, false, "class").paint.label, "cups");
  EXPECT_EQ(parse({{"prompt", "birds"}}, false, "class").paint.label, "birds");
  EXPECT_EQ(refusal(R"({"label":"cups"})"), "422 label: a text model; expected a prompt");
  EXPECT_EQ(refusal(R"({"prompt":"x"})", false, "none"),
            "422 prompt: expected none, because this model is unconditional");
}

TEST(PaintRequestTest, AnInitImageIsFitted) {
  const ParsedRequest parsed = parse(
      {{"init_images", {"data:image/png;base64," + image(30, 50)}}, {"denoising_strength", 0.4}},
      true);
  ASSERT_TRUE(parsed.paint.init_image);
  EXPECT_EQ(parsed.paint.init_image->width, 64);
  EXPECT_EQ(parsed.paint.init_image->height, 64);
  EXPECT_EQ(parsed.paint.init_image->pixels[0], 7);
  EXPECT_EQ(parsed.paint.strength, 0.4);
  EXPECT_FALSE(parsed.paint.mask);
}

/// Left half black, right half white, 64x32.
std::string halves() {
  dataloader::Image picture{64, 32, std::vector<std::uint8_t>(64 * 32 * 3)};
  for (std::size_t i = 0; i < picture.pixels.size(); ++i)
    picture.pixels[i] = i / 3 % 64 < 32 ? 0 : 255;
  return to_base64(dataloader::encode_png(picture));
}

TEST(PaintRequestTest, FitsByStretchingOrByCropping) {
  const auto pixel = [](int mode, std::size_t x) {
    const PaintRequest paint =
        parse({{"init_images", {halves()}}, {"resize_mode", mode}, {"width", 32}, {"height", 32}},
              true)
            .paint;
    return int{paint.init_image->pixels[x * 3]};
  };
  for (const int mode : {0, 1}) {
    EXPECT_EQ(pixel(mode, 2), 0);
    EXPECT_EQ(pixel(mode, 29), 255);
  }
  EXPECT_EQ(refusal(Json{{"init_images", {halves()}}, {"resize_mode", 2}}.dump(), true),
            "422 resize_mode: not supported; expected 0 (resize) or 1 (crop and resize)");
}

TEST(PaintRequestTest, AMaskIsInvertedWhereAskedAndWhatIsNotDoneIsTold) {
  const ParsedRequest parsed = parse({{"init_images", {image(64, 64)}},
                                      {"mask", image(64, 64, 255)},
                                      {"inpainting_mask_invert", 1},
                                      {"mask_blur", 4},
                                      {"inpainting_fill", 0},
                                      {"inpaint_full_res", true}},
                                     true);
  ASSERT_TRUE(parsed.paint.mask);
  EXPECT_EQ(parsed.paint.mask->pixels[0], 0);
  EXPECT_EQ(parsed.warnings.size(), 3U);
}

TEST(PaintRequestTest, RefusesWhatIsNoPicture) {
  const auto of = [](const Json& images) {
    return refusal(Json{{"init_images", images}}.dump(), true);
  };
  EXPECT_EQ(of(nullptr), "422 init_images: expected a list of one picture");
  EXPECT_EQ(of(Json::array()), "422 init_images: expected a list of one picture");
  EXPECT_EQ(of({1}), "422 init_images: expected base64, found number");
  EXPECT_EQ(of({""}), "422 init_images: expected base64 of a PNG, JPEG or WebP");
  EXPECT_EQ(of({"data:image/png;base64,"}),
            "422 init_images: expected base64 of a PNG, JPEG or WebP");
  EXPECT_EQ(of({"not base64!"}), "422 init_images: expected base64 of a PNG, JPEG or WebP");
  EXPECT_EQ(of({"http://127.0.0.1/x.png"}),
            "422 init_images: expected base64; the server fetches no addresses");
  EXPECT_EQ(of({"Zm9v"}).substr(0, 29), "422 init_images: unsupported ");
  EXPECT_EQ(of({image(1024, 1024)}).substr(0, 32), "422 init_images: image too large")
      << "4 x max_pixels";
}

}  // namespace
}  // namespace crescendo::pipelines
