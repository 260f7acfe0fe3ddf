#include <gtest/gtest.h>

#include "dataloader/decode_image.h"
#include "tests/dataloader/tar_bytes.h"
#include "tests/dataloader/test_data.h"

namespace crescendo::dataloader {

namespace {

TEST(ImageHeaderTest, TellsWhatTheDecoderFinds) {
  for (const char* name : {"baseline.jpg", "gray.jpg", "cmyk.jpg", "deep.png", "lossless.webp",
                           "lossy.webp", "alpha.webp", "animated.webp"}) {
    const Bytes bytes = read_data(name);
    const Image image = decode_image(bytes);
    const ImageHeader header = read_image_header(bytes);
    EXPECT_EQ(header.width, image.width) << name;
    EXPECT_EQ(header.height, image.height) << name;
    EXPECT_EQ(header.orientation, 1) << name;
    EXPECT_NE(std::string_view(name).find(header.format.substr(0, 2)), std::string_view::npos);
    EXPECT_FALSE(header.has_profile) << name;
  }
  EXPECT_TRUE(read_image_header(read_data("alpha.webp")).has_alpha);
  EXPECT_FALSE(read_image_header(read_data("lossy.webp")).has_alpha);
}

TEST(ImageHeaderTest, TellsTheOrientationAndTheStoredSize) {
  const Image upright = decode_image(read_data("oriented_6.jpg"));
  for (const char* name : {"oriented_6.jpg", "oriented_6.png", "oriented_6.webp"}) {
    const ImageHeader header = read_image_header(read_data(name));
    EXPECT_EQ(header.orientation, 6) << name;
    EXPECT_EQ(header.width, upright.height) << name;
  }
}

TEST(ImageHeaderTest, FindsAColourProfile) {
  Bytes bytes = read_data("baseline.jpg");
  const Bytes marker = bytes_of(std::string("\xFF\xE2\x00\x16ICC_PROFILE\0\1\1abcdef", 24));
  bytes.insert(bytes.begin() + 2, marker.begin(), marker.end());
  EXPECT_TRUE(read_image_header(bytes).has_profile);
}

TEST(ImageHeaderTest, NeedsNoPixels) {
  Bytes bytes = read_data("baseline.jpg");
  const ImageHeader whole = read_image_header(bytes);
  bytes.resize(bytes.size() - 100);
  EXPECT_EQ(read_image_header(bytes).width, whole.width);
  EXPECT_EQ(read_image_header(gzip(bytes)).width, whole.width);
}

TEST(ImageHeaderTest, RefusesAsTheDecoderDoes) {
  EXPECT_EQ(sample_error_text([] { read_image_header(bytes_of("<html>")); }),
            "unsupported image format: expected JPEG, PNG or WebP, found HTML or XML");
  EXPECT_EQ(sample_error_text([] {
              read_image_header(read_data("baseline.jpg"), {.max_pixels = 9});
            }).substr(0, 15),
            "image too large");
  Bytes cut = read_data("baseline.jpg");
  cut.resize(30);
  EXPECT_EQ(sample_error_text([&] { read_image_header(cut); }).substr(0, 13), "corrupt image");
}

}  // namespace

}  // namespace crescendo::dataloader
