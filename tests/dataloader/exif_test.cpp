#include "dataloader/exif.h"

#include <gtest/gtest.h>

#include "tests/dataloader/test_data.h"

namespace crescendo::dataloader {

namespace {

std::string integer(std::uint32_t value, std::size_t width, bool little) {
  std::string text(width, '\0');
  for (std::size_t i = 0; i < width; ++i) {
    text[little ? i : width - 1 - i] = static_cast<char>(value >> (8 * i) & 0xFF);
  }
  return text;
}

struct Block {
  bool little = true;
  std::uint32_t offset = 8;
  std::uint32_t count = 2;
  std::uint32_t type = 3;
  std::uint32_t orientation = 6;
};

/// A TIFF header and an IFD of the image's width and its orientation.
std::string tiff(const Block& block) {
  const auto put = [&](std::uint32_t value, std::size_t width) {
    return integer(value, width, block.little);
  };
  std::string text = (block.little ? "II" : "MM") + put(42, 2) + put(block.offset, 4);
  text.resize(std::max<std::size_t>(8, std::min<std::uint32_t>(block.offset, 100)));
  text += put(block.count, 2);
  text += put(0x0100, 2) + put(4, 2) + put(1, 4) + put(21, 4);
  text += put(0x0112, 2) + put(block.type, 2) + put(1, 4) + put(block.orientation, 2) + put(0, 2);
  return text;
}

int orientation_of(const std::string& text) { return exif_orientation(bytes_of(text)); }

TEST(ExifTest, ReadsTheOrientationOfEitherByteOrder) {
  for (std::uint32_t value = 1; value <= 8; ++value) {
    for (const bool little : {true, false}) {
      const std::string block = tiff({.little = little, .orientation = value});
      EXPECT_EQ(orientation_of(block), value);
      EXPECT_EQ(orientation_of(std::string("Exif\0\0", 6) + block), value);
    }
  }
  EXPECT_EQ(orientation_of(tiff({.offset = 60})), 6);
}

TEST(ExifTest, TakesABadValueForUpright) {
  EXPECT_EQ(orientation_of(tiff({.orientation = 0})), 1);
  EXPECT_EQ(orientation_of(tiff({.orientation = 9})), 1);
  EXPECT_EQ(orientation_of(tiff({.type = 4})), 1);
}

TEST(ExifTest, TakesADamagedBlockForUpright) {
  EXPECT_EQ(orientation_of(tiff({.offset = 0xFFFFFFFF})), 1);
  EXPECT_EQ(orientation_of(tiff({.count = 1})), 1);
  EXPECT_EQ(orientation_of(tiff({.count = 0xFFFF})), 6);
  const std::string whole = tiff({});
  // The value's two bytes end two before the end.
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(orientation_of(whole.substr(0, size)), size >= whole.size() - 2 ? 6 : 1) << size;
  }
}

std::string comment_of(const std::string& block) { return exif_comment(bytes_of(block)); }

TEST(ExifCommentTest, IsReadBack) {
  const std::string text = "a \u00E9, \u732B, \U0001F600\nSteps: 2";
  const std::vector<std::byte> block = exif_with_comment(text);
  EXPECT_EQ(exif_comment(block), text);
  EXPECT_EQ(comment_of(std::string("Exif\0\0", 6) + text_of(block)), text);
  EXPECT_EQ(exif_comment({}), "");
  EXPECT_EQ(comment_of(tiff({})), "");
}

/// A little-endian block with a UserComment, behind the width of the image.
std::string with_comment(const std::string& comment) {
  const auto entry = [](std::uint32_t tag, std::uint32_t type, std::uint32_t count,
                        std::uint32_t value) {
    return integer(tag, 2, true) + integer(type, 2, true) + integer(count, 4, true) +
           integer(value, 4, true);
  };
  const auto size = static_cast<std::uint32_t>(comment.size());
  return "II" + integer(42, 2, true) + integer(8, 4, true) + integer(2, 2, true) +
         entry(0x0100, 4, 1, 21) + entry(0x8769, 4, 1, 38) + integer(0, 4, true) +
         integer(1, 2, true) + entry(0x9286, 7, size, 56) + integer(0, 4, true) + comment;
}

TEST(ExifCommentTest, ReadsWhatOthersWrite) {
  EXPECT_EQ(comment_of(with_comment(std::string("UNICODE\0a\0\x2B\x73", 12))), "a\u732B");
  EXPECT_EQ(comment_of(with_comment(std::string("ASCII\0\0\0a cat\0\0", 15))), "a cat");
  EXPECT_EQ(comment_of(with_comment(std::string(8, '\0') + "a cat")), "a cat");
}

TEST(ExifCommentTest, DamageIsNoText) {
  const std::string half_pair(
      "UNICODE\0\x3D\xD8"
      "a\0\0\xDE",
      14);
  EXPECT_EQ(comment_of(with_comment(half_pair)), "\uFFFDa\uFFFD");
  EXPECT_EQ(comment_of(with_comment(std::string("ASCII\0\0\0\xFF", 9))), "");
  EXPECT_EQ(comment_of(with_comment("ASCII")), "");
  const std::string whole = with_comment(std::string("ASCII\0\0\0a cat", 13));
  ASSERT_EQ(comment_of(whole), "a cat");
  for (std::size_t size = 0; size < whole.size(); ++size) {
    EXPECT_EQ(comment_of(whole.substr(0, size)), "") << size;
  }
}

/// Two columns and three rows, every pixel another.
Image small_image() {
  Image image{2, 3, std::vector<std::uint8_t>(18)};
  for (std::size_t i = 0; i < 18; ++i) image.pixels[i] = static_cast<std::uint8_t>(i);
  return image;
}

/// The red channel's rows, as a text.
std::string reds(const Image& image) {
  std::string text;
  for (std::int64_t y = 0; y < image.height; ++y) {
    for (std::int64_t x = 0; x < image.width; ++x) {
      text += static_cast<char>('a' + image.pixels[(y * image.width + x) * 3] / 3);
    }
    text += ' ';
  }
  return text;
}

TEST(OrientationTest, TurnsAndMirrors) {
  const std::vector<std::string> expected{"ab cd ef ", "ab cd ef ", "ba dc fe ", "fe dc ba ",
                                          "ef cd ab ", "ace bdf ",  "eca fdb ",  "fdb eca ",
                                          "bdf ace ",  "ab cd ef "};
  for (int orientation = 0; orientation < 10; ++orientation) {
    const Image upright = apply_orientation(small_image(), orientation);
    EXPECT_EQ(reds(upright), expected[static_cast<std::size_t>(orientation)]) << orientation;
    EXPECT_EQ(upright.pixels[2] - upright.pixels[0], 2);
  }
}

}  // namespace

}  // namespace crescendo::dataloader
