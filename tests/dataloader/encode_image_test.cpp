#include "dataloader/encode_image.h"

#include <gtest/gtest.h>

#include "dataloader/decode_image.h"
#include "dataloader/exif.h"
#include "tests/dataloader/test_data.h"

namespace crescendo::dataloader {

namespace {

TEST(EncodeImageTest, PngIsReadBackEqual) {
  const Image image = expected_image("baseline");
  const std::vector<std::byte> bytes = encode_png(image, {}, {{"parameters", "a \u732B"}});
  EXPECT_EQ(largest_difference(decode_image(bytes), image), 0);
  EXPECT_EQ(read_image_text(bytes), (ImageText{{"parameters", "a \u732B"}}));
}

TEST(EncodeImageTest, PngKeepsAlpha) {
  Image image{2, 1, {10, 20, 30, 40, 50, 60}};
  const std::vector<std::uint8_t> alpha{255, 0};
  const std::vector<std::byte> bytes = encode_png(image, alpha);
  EXPECT_TRUE(read_image_header(bytes).has_alpha);
  DecodeOptions options;
  options.background = {1, 2, 3};
  EXPECT_EQ(decode_image(bytes, options).pixels, (std::vector<std::uint8_t>{10, 20, 30, 1, 2, 3}));
}

TEST(EncodeImageTest, JpegIsNearAndOfItsQuality) {
  const Image image = expected_image("baseline");
  const std::vector<std::byte> fine = encode_jpeg(image, 95);
  EXPECT_LE(largest_difference(decode_image(fine), image), 24);
  EXPECT_LT(encode_jpeg(image, 20).size(), fine.size());
  EXPECT_EQ(encode_jpeg(image, 95), fine);
}

TEST(EncodeImageTest, WebpIsNearAndOfItsQuality) {
  const Image image = expected_image("baseline");
  const std::vector<std::byte> fine = encode_webp(image, 100);
  EXPECT_LE(largest_difference(decode_image(fine), image),
            60);  // its colours are at half resolution
  EXPECT_LT(encode_webp(image, 20).size(), fine.size());
  EXPECT_EQ(encode_webp(image, 100), fine);
}

TEST(EncodeImageTest, ExifTravelsAndTurnsNothing) {
  const Image image = expected_image("baseline");
  const std::vector<std::byte> exif = exif_with_comment("a cat");
  EXPECT_EQ(exif_orientation(exif), 1);
  for (const auto& bytes : {encode_jpeg(image, 90, exif), encode_webp(image, 90, exif)}) {
    EXPECT_NE(text_of(bytes).find(text_of(exif)), std::string::npos);
    EXPECT_EQ(read_image_text(bytes), (ImageText{{"parameters", "a cat"}}));
    EXPECT_EQ(decode_image(bytes).width, image.width);
  }
  EXPECT_EQ(decode_image(encode_jpeg(image, 90, exif)).pixels,
            decode_image(encode_jpeg(image, 90)).pixels);
}

}  // namespace

}  // namespace crescendo::dataloader
