#include "dataloader/decode_image.h"

#include <gtest/gtest.h>

#include "dataloader/exif.h"
#include "tests/core/error_text.h"
#include "tests/dataloader/tar_bytes.h"

namespace crescendo::dataloader {

namespace {

std::string error_of(std::span<const std::byte> bytes, const DecodeOptions& options = {}) {
  return sample_error_text([&] { decode_image(bytes, options); });
}

struct Case {
  const char* file;
  const char* expected;
  int tolerance = 0;  // of 255; alpha is rounded otherwise by Pillow
};

void PrintTo(const Case& one, std::ostream* out) { *out << one.file; }

class DecodeImageTest : public testing::TestWithParam<Case> {};

TEST_P(DecodeImageTest, GivesThePixelsOfPillow) {
  const Image image = decode_image(read_data(GetParam().file));
  EXPECT_LE(largest_difference(image, expected_image(GetParam().expected)), GetParam().tolerance);
}

INSTANTIATE_TEST_SUITE_P(
    Files, DecodeImageTest,
    testing::Values(Case{"baseline.jpg", "baseline"}, Case{"progressive.jpg", "progressive"},
                    Case{"gray.jpg", "gray"}, Case{"sampling_444.jpg", "sampling_444"},
                    Case{"cmyk.jpg", "cmyk"}, Case{"cmyk_bare.jpg", "cmyk_bare"},
                    Case{"ycck.jpg", "ycck"}, Case{"oriented_6.jpg", "oriented_jpg"},
                    Case{"png_gray.png", "png_gray"}, Case{"png_bilevel.png", "png_bilevel"},
                    Case{"png_palette.png", "png_palette"},
                    Case{"png_palette_clear.png", "png_palette_clear"}, Case{"deep.png", "deep"},
                    Case{"png_gray_alpha.png", "png_gray_alpha", 1},
                    Case{"png_rgba.png", "png_rgba", 1}, Case{"oriented_1.png", "oriented"},
                    Case{"oriented_2.png", "oriented"}, Case{"oriented_3.png", "oriented"},
                    Case{"oriented_4.png", "oriented"}, Case{"oriented_5.png", "oriented"},
                    Case{"oriented_6.png", "oriented"}, Case{"oriented_7.png", "oriented"},
                    Case{"oriented_8.png", "oriented"}, Case{"oriented_6.webp", "oriented"},
                    Case{"lossy.webp", "lossy"}, Case{"lossless.webp", "lossless"},
                    Case{"animated.webp", "animated"}, Case{"alpha.webp", "alpha", 1}));

// The same picture in formats that lose nothing, so that a mistake of the PNG decoder, which also
// reads what is expected, cannot hide.
TEST(DecodeTest, AgreesAcrossFormats) {
  const Image webp = decode_image(read_data("lossless.webp"));
  EXPECT_EQ(webp.width, 21);
  EXPECT_EQ(webp.height, 14);
  // make_images.py's picture(): (x * 255 / 21, y * 255 / 14, 96 + (3 x^2 + 17 y) % 64).
  for (std::int64_t y = 0; y < webp.height; ++y) {
    for (std::int64_t x = 0; x < webp.width; ++x) {
      const auto* pixel = webp.pixels.data() + (y * webp.width + x) * 3;
      ASSERT_EQ(pixel[0], x * 255 / 21);
      ASSERT_EQ(pixel[1], y * 255 / 14);
      ASSERT_EQ(pixel[2], 96 + (x * x * 3 + y * 17) % 64);
    }
  }
  EXPECT_EQ(largest_difference(webp, expected_image("lossless")), 0);
}

TEST(DecodeTest, ShowsTheBackgroundThroughTransparency) {
  const Image white = decode_image(read_data("png_rgba.png"));
  const Image black = decode_image(read_data("png_rgba.png"), {.background = {0, 0, 0}});
  const Image webp = decode_image(read_data("alpha.webp"), {.background = {0, 0, 0}});
  EXPECT_GT(largest_difference(white, black), 200);
  EXPECT_EQ(largest_difference(black, webp), 0);
}

TEST(DecodeTest, TakesAGzipWrapperOff) {
  const Bytes plain = read_data("baseline.jpg");
  EXPECT_EQ(largest_difference(decode_image(gzip(plain)), decode_image(plain)), 0);
}

TEST(DecodeTest, RefusesAGzipBombAndABadGzip) {
  const Bytes small = gzip(Bytes(300'000));
  EXPECT_EQ(error_of(small, {.max_unwrapped_bytes = 200'000}),
            fmt::format("image too large: 300000 bytes in a gzip of {}; at most 200000 are read",
                        small.size()));
  EXPECT_EQ(error_of(gzip(gzip(read_data("baseline.jpg")))), "corrupt image: a gzip in a gzip");
  Bytes packed = gzip(read_data("baseline.jpg"));
  packed[packed.size() - 6] ^= std::byte{1};
  EXPECT_EQ(error_of(packed),
            "corrupt image: gzip: damaged gzip stream: incorrect data check; the file is corrupt, "
            "copy it again");
}

TEST(DecodeTest, SaysWhatItFoundInsteadOfAnImage) {
  const auto message = [](const std::string& found) {
    return "unsupported image format: expected JPEG, PNG or WebP, found " + found;
  };
  EXPECT_EQ(error_of({}), message("no bytes"));
  EXPECT_EQ(error_of(read_data("still.gif")), message("a GIF"));
  EXPECT_EQ(error_of(bytes_of("BM....")), message("a BMP"));
  EXPECT_EQ(error_of(bytes_of("II*.")), message("a TIFF"));
  EXPECT_EQ(error_of(bytes_of("MM.*")), message("a TIFF"));
  EXPECT_EQ(error_of(bytes_of("....ftypavif")), message("an AVIF"));
  EXPECT_EQ(error_of(bytes_of("....ftypheic")), message("a HEIC"));
  EXPECT_EQ(error_of(bytes_of("<!DOCTYPE html>")), message("HTML or XML"));
  EXPECT_EQ(error_of(bytes_of("\xFF\xD8")), message("unknown bytes"));
  EXPECT_EQ(error_of(bytes_of("RIFF....WAVE")), message("unknown bytes"));
}

TEST(DecodeTest, RefusesAnImageCutAnywhere) {
  for (const char* file :
       {"baseline.jpg", "progressive.jpg", "ycck.jpg", "png_palette.png", "png_rgba.png",
        "lossy.webp", "lossless.webp", "alpha.webp", "animated.webp"}) {
    const Bytes whole = read_data(file);
    ASSERT_EQ(error_of(whole), "");
    for (std::size_t size = 0; size < whole.size(); ++size) {
      const std::string message = error_of(std::span(whole).first(size));
      ASSERT_TRUE(message.starts_with("corrupt image: ") ||
                  message.starts_with("unsupported image format: "))
          << file << " cut to " << size << ": " << message;
    }
  }
}

// Only SampleError is caught by the loader: another exception, or a crash, would end a run.
TEST(DecodeTest, ThrowsNothingElseForAFlippedByte) {
  for (const char* file : {"baseline.jpg", "progressive.jpg", "cmyk.jpg", "oriented_6.jpg",
                           "deep.png", "png_palette_clear.png", "oriented_6.png", "lossy.webp",
                           "alpha.webp", "animated.webp", "oriented_6.webp"}) {
    const Bytes whole = read_data(file);
    for (std::size_t i = 0; i < whole.size(); ++i) {
      Bytes damaged = whole;
      damaged[i] ^= std::byte{0xFF};
      try {
        const Image image = decode_image(damaged, {.max_pixels = 10'000});
        ASSERT_EQ(image.pixels.size(), static_cast<std::size_t>(image.width * image.height * 3));
        ASSERT_LE(image.width * image.height, 10'000);
      } catch (const SampleError&) {
      }
    }
  }
}

TEST(DecodeTest, ChecksTheSizeOfEveryFormat) {
  for (const char* file : {"baseline.jpg", "deep.png", "lossy.webp", "animated.webp"}) {
    const Bytes bytes = read_data(file);
    EXPECT_EQ(error_of(bytes, {.max_pixels = 21 * 14}), "") << file;
    EXPECT_EQ(error_of(bytes, {.max_pixels = 21 * 14 - 1}),
              "image too large: 21 x 14 pixels; max_pixels is 293")
        << file;
  }
}

TEST(ColorTest, ReadsNamesAndHex) {
  EXPECT_EQ(parse_color("white", "x"), (Color{255, 255, 255}));
  EXPECT_EQ(parse_color("black", "x"), (Color{0, 0, 0}));
  EXPECT_EQ(parse_color("gray", "x"), (Color{128, 128, 128}));
  EXPECT_EQ(parse_color("#01aBfF", "x"), (Color{1, 0xAB, 0xFF}));
}

TEST(ColorTest, RefusesAnythingElse) {
  for (const std::string text :
       {"", "red", "#12345", "#1234567", "#12345g", "1234567", "#-12345", "#+12345", "#0x1234"}) {
    EXPECT_EQ(error_text([&] { parse_color(text, "data.background"); }),
              "data.background: expected white, black, gray or #RRGGBB, found '" + text + "'");
  }
}

}  // namespace

}  // namespace crescendo::dataloader
