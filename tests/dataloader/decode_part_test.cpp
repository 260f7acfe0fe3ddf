// A part of an image must have the pixels of the whole, though a JPEG is not decoded around it.
#include <gtest/gtest.h>

#include "core/random.h"
#include "dataloader/decode_image.h"
#include "tests/dataloader/jpeg_bytes.h"

namespace crescendo::dataloader {

namespace {

bool contains(const ImagePart& part, const Window& window) {
  return part.left <= window.left && part.top <= window.top &&
         part.left + part.image.width >= window.left + window.size.width &&
         part.top + part.image.height >= window.top + window.size.height;
}

/// The pixels of a window of the image that the part belongs to.
std::vector<std::uint8_t> pixels_of(const ImagePart& part, const Window& window) {
  std::vector<std::uint8_t> pixels;
  for (std::int64_t y = 0; y < window.size.height; ++y) {
    const std::int64_t row = (window.top - part.top + y) * part.image.width;
    const auto begin = part.image.pixels.begin() + (row + window.left - part.left) * 3;
    pixels.insert(pixels.end(), begin, begin + window.size.width * 3);
  }
  return pixels;
}

ImagePart whole_of(const Bytes& bytes) {
  Image image = decode_image(bytes);
  const Size size{image.width, image.height};
  return {std::move(image), 0, 0, size};
}

Window random_window(Size whole, RandomStream& random) {
  const auto side = [&](std::int64_t length, std::int64_t& begin) {
    const auto most = static_cast<std::uint64_t>(length);
    const auto size = static_cast<std::int64_t>(1 + random.below(most));
    begin = static_cast<std::int64_t>(random.below(most - static_cast<std::uint64_t>(size) + 1));
    return size;
  };
  Window window;
  window.size.width = side(whole.width, window.left);
  window.size.height = side(whole.height, window.top);
  return window;
}

DecodedPart decode_window(const Bytes& bytes, const Window& window) {
  return decode_part(bytes, {}, [&](Size) { return Wanted{1, window}; });
}

JpegForm random_form(RandomStream& random) {
  const auto below = [&](std::uint64_t end) { return static_cast<int>(random.below(end)); };
  JpegForm form;
  form.width = 1 + below(random.below(4) == 0 ? 40 : 400);
  form.height = 1 + below(200);
  form.gray = below(6) == 0;
  form.horizontal_sampling = below(4) == 0 ? 4 : 1 + below(2);
  form.vertical_sampling = form.horizontal_sampling == 4 ? 1 : 1 + below(2);
  form.progressive = below(3) == 0;
  form.restart_interval = below(2) * below(20);
  form.orientation = 1 + below(8);
  form.quality = 1 + below(100);
  return form;
}

TEST(DecodePartTest, HasThePixelsOfTheWhole) {
  RandomStream random(1, Purpose::kNoise, 0);
  int smaller = 0;
  for (std::uint64_t round = 0; round < 400; ++round) {
    const JpegForm form = random_form(random);
    const Bytes bytes = jpeg_bytes(form, round);
    const ImagePart whole = whole_of(bytes);
    for (int i = 0; i < 5; ++i) {
      const Window window = random_window(whole.whole, random);
      const DecodedPart decoded = decode_window(bytes, window);
      ASSERT_EQ(decoded.original, whole.whole);
      ASSERT_EQ(decoded.part.whole, whole.whole);
      ASSERT_TRUE(contains(decoded.part, window));
      ASSERT_EQ(pixels_of(decoded.part, window), pixels_of(whole, window))
          << form.width << "x" << form.height << " sampled " << form.horizontal_sampling << "x"
          << form.vertical_sampling << " orientation " << form.orientation << ": " << window.left
          << "," << window.top << " " << window.size.width << "x" << window.size.height;
      smaller += decoded.part.image.pixels.size() < whole.image.pixels.size() ? 1 : 0;
    }
  }
  EXPECT_GT(smaller, 1000);  // else nothing was tested
}

TEST(DecodePartTest, OtherFormatsComeWhole) {
  for (const char* file : {"oriented_6.png", "oriented_6.webp", "animated.webp"}) {
    const Bytes bytes = read_data(file);
    const ImagePart whole = whole_of(bytes);
    const DecodedPart decoded = decode_window(bytes, {1, 1, {2, 2}});
    EXPECT_EQ(decoded.original, whole.whole);
    EXPECT_EQ(decoded.part.image.pixels, whole.image.pixels) << file;
  }
}

TEST(DecodePartTest, FindsDamageOutsideThePart) {
  for (const bool progressive : {false, true}) {
    const Bytes bytes = jpeg_bytes({.width = 200, .height = 120, .progressive = progressive}, 1);
    for (const Window& window : {Window{0, 0, {80, 20}}, Window{120, 100, {80, 20}}}) {
      EXPECT_NO_THROW(decode_window(bytes, window));
      for (std::size_t size = bytes.size() / 20; size < bytes.size(); size += bytes.size() / 20) {
        const Bytes cut(bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size));
        EXPECT_THROW(decode_window(cut, window), SampleError) << size << " of " << bytes.size();
      }
    }
  }
}

TEST(DecodePartTest, ShrinksAJpeg) {
  for (const int orientation : {1, 6}) {
    const Bytes bytes = jpeg_bytes({.width = 203, .height = 121, .orientation = orientation}, 1);
    for (const int shrink : {2, 4, 8}) {
      Size small;
      const auto choose = [&](Size whole) {
        small = shrunken(whole, shrink);
        return Wanted{shrink, {0, 0, small}};
      };
      const DecodedPart decoded = decode_part(bytes, {}, choose);
      EXPECT_EQ(decoded.original, (orientation == 1 ? Size{203, 121} : Size{121, 203}));
      EXPECT_EQ(decoded.part.whole, small);
      EXPECT_EQ(small.width, (decoded.original.width + shrink - 1) / shrink);
      EXPECT_EQ(decoded.part.image.width, small.width);
      EXPECT_EQ(decoded.part.image.height, small.height);
    }
  }
}

TEST(DecodePartTest, TellsAColourProfile) {
  Bytes bytes = read_data("baseline.jpg");
  EXPECT_FALSE(decode_window(bytes, {0, 0, {1, 1}}).has_profile);
  const Bytes marker = bytes_of(std::string("\xFF\xE2\x00\x16ICC_PROFILE\0\1\1abcdef", 24));
  bytes.insert(bytes.begin() + 2, marker.begin(), marker.end());
  EXPECT_TRUE(decode_window(bytes, {0, 0, {1, 1}}).has_profile);
}

}  // namespace

}  // namespace crescendo::dataloader
