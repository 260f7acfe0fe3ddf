#include "dataloader/resize.h"

#include <gtest/gtest.h>

#include "dataloader/decode_image.h"
#include "tests/core/error_text.h"
#include "tests/dataloader/test_data.h"

namespace crescendo::dataloader {

namespace {

Image source() { return decode_image(read_data("resize_source.png")); }

Image resize_whole(const Image& image, Size size, Filter filter) {
  return resize(image, size, {0, 0, size}, filter);
}

Image crop(const Image& image, const Window& window) {
  Image part{window.size.width, window.size.height, {}};
  for (std::int64_t y = 0; y < window.size.height; ++y) {
    const auto begin = image.pixels.begin() + ((window.top + y) * image.width + window.left) * 3;
    part.pixels.insert(part.pixels.end(), begin, begin + window.size.width * 3);
  }
  return part;
}

TEST(ResizeTest, EqualsPillow) {
  struct Case {
    const char* file;
    Filter filter;
    Size size;
  };
  for (const Case& one : {Case{"resize_bilinear_down.png", Filter::kBilinear, {22, 16}},
                          Case{"resize_bicubic_down.png", Filter::kBicubic, {22, 16}},
                          Case{"resize_lanczos_down.png", Filter::kLanczos, {22, 16}},
                          Case{"resize_bicubic_up.png", Filter::kBicubic, {97, 70}}}) {
    const Image expected = decode_image(read_data(one.file));
    EXPECT_EQ(largest_difference(resize_whole(source(), one.size, one.filter), expected), 0)
        << one.file;
  }
}

TEST(ResizeTest, AWindowIsThatPartOfTheWhole) {
  for (const Filter filter : {Filter::kBilinear, Filter::kBicubic, Filter::kLanczos}) {
    for (const Size size : {Size{22, 16}, Size{97, 70}}) {
      const Image whole = resize_whole(source(), size, filter);
      for (const Window& window : {Window{0, 0, {5, 5}}, Window{7, 3, {9, 11}},
                                   Window{size.width - 4, size.height - 6, {4, 6}}}) {
        EXPECT_EQ(largest_difference(resize(source(), size, window, filter), crop(whole, window)),
                  0);
      }
    }
  }
}

TEST(ResizeTest, KeepsAnImageOfTheSameSize) {
  for (const Filter filter : {Filter::kBilinear, Filter::kBicubic, Filter::kLanczos}) {
    EXPECT_EQ(largest_difference(resize_whole(source(), {61, 43}, filter), source()), 0);
  }
}

TEST(ResizeTest, CutsAnImageOfTheSameSize) {
  const Image image = source();
  const Window window{3, 5, {11, 7}};
  EXPECT_EQ(resize(image, {image.width, image.height}, window, Filter::kLanczos).pixels,
            crop(image, window).pixels);
}

TEST(ResizeTest, KeepsOneColour) {
  const Image flat{7, 5, std::vector<std::uint8_t>(7 * 5 * 3, 201)};
  for (const Filter filter : {Filter::kBilinear, Filter::kBicubic, Filter::kLanczos}) {
    for (const Size size : {Size{3, 2}, Size{1, 1}, Size{40, 31}}) {
      const Image image = resize_whole(flat, size, filter);
      EXPECT_EQ(largest_difference(image, {size.width, size.height,
                                           std::vector<std::uint8_t>(image.pixels.size(), 201)}),
                0);
    }
  }
}

// Sums stay in 32 bits for the steepest edges that the filters overshoot at.
TEST(ResizeTest, ClampsOvershoot) {
  Image edge{64, 1, std::vector<std::uint8_t>(64 * 3)};
  std::fill(edge.pixels.begin() + 32 * 3, edge.pixels.end(), std::uint8_t{255});
  for (const Filter filter : {Filter::kBicubic, Filter::kLanczos}) {
    const Image image = resize_whole(edge, {200, 3}, filter);
    EXPECT_EQ(image.pixels.front(), 0);
    EXPECT_EQ(image.pixels.back(), 255);
    EXPECT_EQ(image.pixels[90 * 3], 0);
    EXPECT_EQ(image.pixels[110 * 3], 255);
  }
}

TEST(ResizeTest, TakesAnImageOfOnePixelOrOneRow) {
  const Image pixel{1, 1, {10, 20, 30}};
  const Image large = resize_whole(pixel, {4, 4}, Filter::kLanczos);
  EXPECT_EQ(large.pixels[0], 10);
  EXPECT_EQ(large.pixels.back(), 30);
  // A strip becomes 40,000 rows high, of which only the window is made.
  const Image strip{1, 5000, std::vector<std::uint8_t>(5000 * 3, 7)};
  const Size scaled = short_side_size({1, 5000}, 8);
  EXPECT_EQ(scaled.height, 40'000);
  const Image window = resize(strip, scaled, center_window(scaled, {8, 8}), Filter::kBicubic);
  EXPECT_EQ(window.width, 8);
  EXPECT_EQ(window.height, 8);
  EXPECT_EQ(window.pixels, std::vector<std::uint8_t>(8 * 8 * 3, 7));
}

TEST(SizeTest, ShortSideBecomesTheResolution) {
  const auto text = [](Size size) { return fmt::format("{}x{}", size.width, size.height); };
  EXPECT_EQ(text(short_side_size({500, 375}, 256)), "341x256");
  EXPECT_EQ(text(short_side_size({375, 500}, 256)), "256x341");
  EXPECT_EQ(text(short_side_size({64, 64}, 256)), "256x256");
  EXPECT_EQ(text(short_side_size({1, 3}, 2)), "2x6");
}

TEST(SizeTest, TheMiddleIsRoundedToEven) {
  const auto left = [](std::int64_t width) { return center_window({width, 10}, {10, 10}).left; };
  EXPECT_EQ(left(10), 0);
  EXPECT_EQ(left(11), 0);
  EXPECT_EQ(left(12), 1);
  EXPECT_EQ(left(13), 2);
  EXPECT_EQ(left(15), 2);
  EXPECT_EQ(center_window({10, 13}, {10, 10}).top, 2);
  EXPECT_EQ(center_window({10, 13}, {10, 10}).size.width, 10);
}

TEST(FilterTest, ReadsNames) {
  EXPECT_EQ(parse_filter("bilinear", "x"), Filter::kBilinear);
  EXPECT_EQ(parse_filter("bicubic", "x"), Filter::kBicubic);
  EXPECT_EQ(parse_filter("lanczos", "x"), Filter::kLanczos);
  EXPECT_EQ(
      error_text([] { parse_filter("nearest", "data.image_interpolation_mode"); }),
      "data.image_interpolation_mode: expected bilinear, bicubic or lanczos, found 'nearest'");
}

}  // namespace

}  // namespace crescendo::dataloader
