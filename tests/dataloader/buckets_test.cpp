#include "dataloader/buckets.h"

#include <algorithm>
#include <cmath>
#include <string>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo::dataloader {

namespace {

DataOptions bucketed(std::int64_t resolution, std::int64_t step) {
  DataOptions options;
  options.resolution = resolution;
  options.enable_bucket = true;
  options.bucket_reso_steps = step;
  return options;
}

std::string text(Size size) { return fmt::format("{}x{}", size.width, size.height); }

std::vector<std::string> texts(const std::vector<Size>& sizes) {
  std::vector<std::string> all;
  for (const Size& size : sizes) all.push_back(text(size));
  return all;
}

TEST(BucketsTest, AreOneSquareUnlessWanted) {
  DataOptions options;
  options.resolution = 100;
  EXPECT_EQ(texts(bucket_sizes(options)), (std::vector<std::string>{"100x100"}));
}

TEST(BucketsTest, AreThoseOfSdScripts) {
  // What make_bucket_resolutions((512, 512), 256, 1024, 64) of kohya's sd-scripts returns.
  EXPECT_EQ(
      texts(bucket_sizes(bucketed(512, 64))),
      (std::vector<std::string>{"256x1024", "256x960", "256x896", "256x832", "320x768", "320x704",
                                "384x640", "448x576", "512x512", "576x448", "640x384", "704x320",
                                "768x320", "832x256", "896x256", "960x256", "1024x256"}));
}

TEST(BucketsTest, KeepToTheBounds) {
  DataOptions options = bucketed(512, 64);
  options.min_bucket_reso = 400;  // no multiple of 64
  options.max_bucket_reso = 600;
  EXPECT_EQ(texts(bucket_sizes(options)),
            (std::vector<std::string>{"448x576", "512x512", "576x448"}));
  options.min_bucket_reso = options.max_bucket_reso = 512;
  EXPECT_EQ(texts(bucket_sizes(options)), (std::vector<std::string>{"512x512"}));
}

TEST(BucketsTest, HaveSidesOfTheStepAndNoMoreThanTheArea) {
  for (const auto& [resolution, step] : {std::pair{64, 8}, {96, 32}, {16, 4}, {7, 1}, {1024, 64}}) {
    const std::vector<Size> sizes = bucket_sizes(bucketed(resolution, step));
    EXPECT_GT(sizes.size(), 2U);
    for (const Size& size : sizes) {
      EXPECT_EQ(size.width % step, 0) << text(size);
      EXPECT_EQ(size.height % step, 0) << text(size);
      EXPECT_LE(size.width * size.height, resolution * resolution) << text(size);
      EXPECT_GE(std::min(size.width, size.height), resolution / 2) << text(size);
      EXPECT_EQ(std::ranges::count(sizes, text({size.height, size.width}), text), 1);
    }
  }
}

TEST(BucketsTest, NamesBoundsThatCannotBe) {
  DataOptions options = bucketed(500, 64);
  EXPECT_EQ(error_text([&] { bucket_sizes(options); }),
            "data.bucket_reso_steps: expected a divisor of data.resolution, 500, so that there is "
            "a square bucket; found 64");
  options = bucketed(512, 64);
  options.max_bucket_reso = 500;
  EXPECT_EQ(error_text([&] { bucket_sizes(options); }),
            "data.min_bucket_reso, max_bucket_reso: expected data.resolution, 512, between them; "
            "found 256 and 500");
  options.max_bucket_reso.reset();
  options.min_bucket_reso = 513;
  EXPECT_NE(error_text([&] { bucket_sizes(options); }), "");
}

TEST(NearestBucketTest, HasTheLeastDifferenceOfLogarithms) {
  const std::vector<Size> buckets = bucket_sizes(bucketed(512, 64));
  const auto distance = [](Size a, Size b) {
    return std::abs(std::log(static_cast<double>(a.width) / static_cast<double>(a.height)) -
                    std::log(static_cast<double>(b.width) / static_cast<double>(b.height)));
  };
  for (std::int64_t width = 1; width < 3000; width += 37) {
    for (std::int64_t height = 1; height < 3000; height += 41) {
      const Size image{width, height};
      const Size chosen = nearest_bucket(image, buckets);
      for (const Size& other : buckets) {
        ASSERT_LE(distance(image, chosen), distance(image, other) + 1e-12)
            << text(image) << " in " << text(chosen) << " and not in " << text(other);
      }
    }
  }
  EXPECT_EQ(text(nearest_bucket({1, 65'500}, buckets)), "256x1024");
  EXPECT_EQ(text(nearest_bucket({500, 375}, buckets)), "576x448");
  EXPECT_EQ(text(nearest_bucket({300, 300}, buckets)), "512x512");
}

TEST(CoveringSizeTest, IsTheLeastThatCovers) {
  for (const Size& bucket : {Size{24, 8}, {8, 24}, {16, 16}}) {
    for (std::int64_t width = 1; width < 60; ++width) {
      for (std::int64_t height = 1; height < 60; ++height) {
        const Size scaled = covering_size({width, height}, bucket);
        ASSERT_GE(scaled.width, bucket.width);
        ASSERT_GE(scaled.height, bucket.height);
        // In proportion, but for rounding the longer one down.
        const bool whole_width =
            scaled.width == bucket.width && scaled.height == bucket.width * height / width;
        const bool whole_height =
            scaled.height == bucket.height && scaled.width == bucket.height * width / height;
        ASSERT_TRUE(whole_width || whole_height);
      }
    }
  }
}

TEST(CoveringSizeTest, OfASquareIsThatOfTheShortSide) {
  for (std::int64_t width = 1; width < 600; width += 7) {
    for (std::int64_t height = 1; height < 600; height += 5) {
      EXPECT_EQ(text(covering_size({width, height}, {64, 64})),
                text(short_side_size({width, height}, 64)));
    }
  }
}

}  // namespace

}  // namespace crescendo::dataloader
