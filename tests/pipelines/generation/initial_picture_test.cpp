#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/tensor_io.h"
#include "pipelines/generation/image_generator.h"
#include "pipelines/generation/latent_preview.h"
#include "pipelines/generation/picture.h"
#include "tests/core/error_text.h"
#include "tests/pipelines/tiny_model.h"
#include "vae/autoencoder.h"

namespace crescendo::pipelines {
namespace {

using dataloader::Image;

constexpr std::int64_t kWidth = 8, kHeight = 12;

Image noisy_picture(std::int64_t width = kWidth, std::int64_t height = kHeight) {
  Image picture{width, height, {}};
  for (std::int64_t i = 0; i < width * height * 3; ++i) {
    picture.pixels.push_back(static_cast<std::uint8_t>(i * i * 31));
  }
  return picture;
}

/// White on its right half.
Image half_mask() {
  Image mask{kWidth, kHeight, std::vector<std::uint8_t>(kWidth * kHeight * 3, 0)};
  for (std::int64_t i = 0; i < kWidth * kHeight; ++i) {
    if (i % kWidth >= kWidth / 2) std::fill_n(mask.pixels.begin() + i * 3, 3, 255);
  }
  return mask;
}

/// What is told of the last step, and the picture.
struct Drawing {
  at::Tensor x0;
  at::Tensor image;
  std::int64_t steps = 0;
};

class InitialPictureTest : public testing::Test {
 protected:
  GenerationOptions options(InitialPicture initial) const {
    GenerationOptions options{.cfg_scale = 3, .width = kWidth, .height = kHeight};
    options.sampler.steps = 8;
    options.initial = std::move(initial);
    return options;
  }

  Drawing draw(const GenerationOptions& options) {
    Drawing drawing;
    const ImageRequest request{.prompt = "cup", .seed = 3};
    drawing.image = generator_.generate(
        {&request, 1}, options, [&](std::int64_t, std::int64_t steps, const at::Tensor& x0) {
          drawing.steps = steps;
          drawing.x0 = x0;
        });
    return drawing;
  }

  DiffusionModel model_ = tiny_model(ConditioningKind::kText);
  ImageGenerator generator_{model_, at::kCPU};
};

TEST_F(InitialPictureTest, StrengthTakesItsShareOfTheSteps) {
  const Image picture = noisy_picture();
  const Drawing half = draw(options(generator_.encode(picture, nullptr, 0.5)));
  EXPECT_EQ(half.steps, 4);
  const Drawing little = draw(options(generator_.encode(picture, nullptr, 0.125)));
  EXPECT_EQ(little.steps, 1);
  EXPECT_FALSE(at::equal(half.image, little.image));
}

TEST_F(InitialPictureTest, WhatTheMaskLeavesIsDecodedFromTheOriginalsLatents) {
  const Image mask = half_mask();
  const InitialPicture initial = generator_.encode(noisy_picture(), &mask, 1);
  EXPECT_TRUE(at::equal(initial.mask[0][0][0], at::tensor({0.F, 0.F, 1.F, 1.F})));
  // The decoder sees its neighbours; what is decoded of the end is told by an identical drawing
  // with the original in its place.
  const Drawing drawn = draw(options(initial));
  InitialPicture nothing = initial;
  nothing.mask = at::zeros_like(initial.mask);
  const at::Tensor original = model_.vae->decode(model_.vae->unscale(initial.latents));
  EXPECT_TRUE(at::equal(draw(options(nothing)).image, original));
  EXPECT_GT((drawn.image - original).abs().max().item<double>(), 1e-3);
}

TEST_F(InitialPictureTest, SizesMustBeTheSame) {
  const Image mask = noisy_picture(4, 4);
  EXPECT_EQ(error_text([&] { generator_.encode(noisy_picture(), &mask, 1); }),
            "mask: expected 8x12 pixels, as the picture, found 4x4");
  EXPECT_EQ(error_text([&] { generator_.encode(noisy_picture(10, 12), nullptr, 1); }),
            "width: expected a multiple of 4 pixels, as the autoencoder and the U-Net halve them, "
            "found 10; the nearest are 8 and 12");
  const GenerationOptions other = options(generator_.encode(noisy_picture(8, 8), nullptr, 0.5));
  EXPECT_EQ(error_text([&] { generator_.check(other); }),
            "initial picture: expected latents [3, 6, 4], for 8x12 pixels, found [3, 4, 4]");
}

TEST_F(InitialPictureTest, CallbackCancels) {
  struct Cancelled {};
  int told = 0;
  const ImageRequest request{.prompt = "cup"};
  const GenerationOptions plain{.sampler = {.steps = 8}, .width = 8, .height = 8};
  EXPECT_THROW(generator_.generate({&request, 1}, plain,
                                   [&](std::int64_t, std::int64_t, const at::Tensor&) {
                                     if (++told == 3) throw Cancelled();
                                   }),
               Cancelled);
  EXPECT_EQ(told, 3);
  EXPECT_EQ(generator_.generate({&request, 1}, plain).size(0), 1);  // it can be asked again
}

TEST_F(InitialPictureTest, GuidanceOutsideItsIntervalIsNone) {
  GenerationOptions plain{.sampler = {.steps = 8}, .cfg_scale = 9, .width = 8, .height = 8};
  const auto image = [&](double start, double end, double scale) {
    GenerationOptions of = plain;
    of.guidance_start = start;
    of.guidance_end = end;
    of.cfg_scale = scale;
    return draw(of).image;
  };
  const at::Tensor guided = image(0, 1, 9);
  const at::Tensor unguided = image(0, 1, 1);
  EXPECT_TRUE(at::equal(image(0, 0.1, 9), unguided));  // no whole step lies in it
  EXPECT_TRUE(at::equal(image(0.5, 0.5, 9), unguided));
  const at::Tensor first_half = image(0, 0.5, 9);
  EXPECT_FALSE(at::equal(first_half, guided));
  EXPECT_FALSE(at::equal(first_half, unguided));
}

TEST_F(InitialPictureTest, RescaledGuidanceIsAnotherPicture) {
  GenerationOptions plain{.sampler = {.steps = 8}, .cfg_scale = 9, .width = 8, .height = 8};
  const at::Tensor guided = draw(plain).image;
  plain.guidance_rescale = 0.7;
  EXPECT_GT((draw(plain).image - guided).abs().max().item<double>(), 1e-4);
}

TEST(FitPictureTest, CoversAndCutsTheMiddle) {
  Image wide{30, 10, {}};
  for (std::int64_t i = 0; i < 300; ++i) {
    const auto value = static_cast<std::uint8_t>(i % 30 < 10 ? 0 : i % 30 < 20 ? 100 : 200);
    wide.pixels.insert(wide.pixels.end(), 3, value);
  }
  const Image middle = fit_picture(wide, 10, 10);
  EXPECT_EQ(middle.pixels, std::vector<std::uint8_t>(300, 100));
  const Image large = fit_picture(wide, 64, 48);
  EXPECT_EQ(large.width, 64);
  EXPECT_EQ(large.height, 48);
  EXPECT_EQ(fit_picture(wide, 30, 10).pixels, wide.pixels);
}

TEST(PictureTensorTest, IsTheOtherWayRound) {
  const Image picture = noisy_picture();
  const Image again = tensor_to_pictures(picture_to_tensor(picture).unsqueeze(0))[0];
  EXPECT_EQ(again.pixels, picture.pixels);
}

/// Smooth colours, other than those of the chart: [1,3,64,64].
at::Tensor smooth_image() {
  const at::Tensor knots = random_normal({1, 3, 5, 5}, 7, Purpose::kInitialLatents, 1);
  return at::upsample_bilinear2d(knots.clamp(-1, 1), {64, 64}, /*align_corners=*/true);
}

TEST(LatentPreviewTest, HasTheColoursOfWhatWasEncoded) {
  const auto vae =
      vae::load_autoencoder(std::filesystem::path(CRESCENDO_SOURCE_DIR) / "configs/demo-vae");
  vae->eval();
  const std::int64_t factor = vae->downscale_factor();
  const LatentPreview preview(*vae, at::kCPU);
  const at::Tensor image = smooth_image();
  const at::Tensor colors = preview.colors(vae->scale(vae->encode(image).mode()));
  const at::Tensor expected = at::avg_pool2d(image, {factor, factor});
  ASSERT_EQ(colors.sizes(), expected.sizes());
  // Of this autoencoder's colours no linear map explains more than four fifths of the variance.
  const auto unexplained = (colors - expected).square().mean().item<double>();
  EXPECT_LT(unexplained, 0.35 * expected.var().item<double>());
}

}  // namespace
}  // namespace crescendo::pipelines
