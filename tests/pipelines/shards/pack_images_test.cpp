#include "pipelines/shards/pack_images.h"

#include <gtest/gtest.h>

#include "dataloader/decode_image.h"
#include "dataloader/encode_image.h"
#include "tests/dataloader/test_data.h"

namespace crescendo::pipelines {

namespace {

using dataloader::Bytes;
using dataloader::Image;
using dataloader::RawSample;

RawSample sample_of(const std::string& suffix, Bytes bytes) {
  return {"a", "x.tar", {{suffix, std::move(bytes)}, {"txt", dataloader::bytes_of("words")}}, {}};
}

RawSample changed(RawSample sample, const ImageChanges& changes) {
  change_images(sample, changes);
  return sample;
}

/// A picture of two halves: red, and blue of so much opacity.
Bytes half_transparent(std::uint8_t opacity) {
  Image image{40, 20, {}};
  std::vector<std::uint8_t> alpha;
  for (int i = 0; i < 800; ++i) {
    const bool left = i % 40 < 20;
    for (const int value : {left ? 255 : 0, 0, left ? 0 : 255}) {
      image.pixels.push_back(static_cast<std::uint8_t>(value));
    }
    alpha.push_back(left ? 255 : opacity);
  }
  return dataloader::encode_png(image, alpha);
}

TEST(PackImagesTest, LeavesBytesAsTheyAre) {
  const Bytes bytes = dataloader::read_data("baseline.jpg");
  const std::int64_t side = dataloader::read_image_header(bytes).height;
  for (const ImageChanges changes :
       {ImageChanges{}, {.short_side = 0, .verify = true}, {.short_side = side, .verify = true}}) {
    const RawSample sample = changed(sample_of("jpeg", bytes), changes);
    EXPECT_FALSE(sample.defect);
    EXPECT_EQ(sample.members[0].bytes, bytes);
    EXPECT_EQ(sample.members[0].suffix, "jpeg");
  }
}

TEST(PackImagesTest, ScalesTheShortSide) {
  const Bytes bytes = dataloader::read_data("baseline.jpg");
  const auto before = dataloader::read_image_header(bytes);
  const RawSample sample = changed(sample_of("jpeg", bytes), {.short_side = 8});
  ASSERT_FALSE(sample.defect);
  EXPECT_EQ(sample.members[0].suffix, "jpg");
  const auto header = dataloader::read_image_header(sample.members[0].bytes);
  EXPECT_EQ(header.format, "jpeg");
  EXPECT_EQ(std::min(header.width, header.height), 8);
  EXPECT_EQ(std::max(header.width, header.height),
            8 * std::max(before.width, before.height) / std::min(before.width, before.height));
  EXPECT_EQ(dataloader::text_of(sample.members[1].bytes), "words");
}

TEST(PackImagesTest, ScaledImagesStandUpright) {
  const Bytes bytes = dataloader::read_data("oriented_6.webp");
  const Image upright = dataloader::decode_image(bytes);
  const RawSample sample = changed(sample_of("webp", bytes), {.short_side = 4});
  const auto header = dataloader::read_image_header(sample.members[0].bytes);
  EXPECT_EQ(header.orientation, 1);
  EXPECT_EQ(header.width < header.height, upright.width < upright.height);
}

TEST(PackImagesTest, KeepsTransparency) {
  const RawSample sample = changed(sample_of("png", half_transparent(51)), {.short_side = 10});
  ASSERT_FALSE(sample.defect);
  EXPECT_EQ(sample.members[0].suffix, "png");
  for (const std::uint8_t background : {std::uint8_t{0}, std::uint8_t{255}}) {
    dataloader::DecodeOptions options;
    options.background = {background, background, background};
    const Image image = dataloader::decode_image(sample.members[0].bytes, options);
    ASSERT_EQ(image.height, 10);
    const std::uint8_t* left = image.pixels.data() + (5 * 20 + 2) * 3;
    const std::uint8_t* right = image.pixels.data() + (5 * 20 + 17) * 3;
    EXPECT_NEAR(left[0], 255, 2);
    EXPECT_NEAR(left[2], 0, 2);
    EXPECT_NEAR(right[2], 51 + background * 204 / 255, 3);  // blue, a fifth opaque
    EXPECT_NEAR(right[0], background * 204 / 255, 3);
  }
}

TEST(PackImagesTest, WhatCannotBeDecodedIsADefect) {
  Bytes cut = dataloader::read_data("baseline.jpg");
  cut.resize(cut.size() / 2);
  EXPECT_FALSE(changed(sample_of("jpg", cut), {}).defect);
  EXPECT_EQ(changed(sample_of("jpg", cut), {.verify = true}).defect->cause, "corrupt image");
  EXPECT_EQ(changed(sample_of("jpg", cut), {.short_side = 8}).defect->cause, "corrupt image");
  const Bytes page = dataloader::bytes_of("<html>");
  EXPECT_EQ(changed(sample_of("webp", page), {.verify = true}).defect->cause,
            "unsupported image format");
  EXPECT_FALSE(changed(sample_of("json", page), {.verify = true}).defect);
}

}  // namespace

}  // namespace crescendo::pipelines
