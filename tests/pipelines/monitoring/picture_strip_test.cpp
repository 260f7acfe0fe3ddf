#include "pipelines/monitoring/picture_strip.h"

#include <algorithm>

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "pipelines/shards/picture_file.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

TEST(PictureStripTest, KeepsTheFirstTheLastAndSomeBetween) {
  PictureStrip strip(16);
  for (std::int64_t step = 10; step <= 10'000; step += 10) {
    strip.add(step, "x.png");
    ASSERT_LE(strip.pictures().size(), 16);
    ASSERT_EQ(strip.pictures().front().step, 10);
    ASSERT_EQ(strip.pictures().back().step, step);
  }
  std::int64_t least = 10'000;
  std::int64_t most = 0;
  for (std::size_t i = 1; i < strip.pictures().size(); ++i) {
    const std::int64_t gap = strip.pictures()[i].step - strip.pictures()[i - 1].step;
    least = std::min(least, gap);
    most = std::max(most, gap);
  }
  EXPECT_GT(least, 0);
  EXPECT_LE(most, 2 * 10'000 / 15);  // twice what is even
}

TEST(PictureStripTest, MakesSmallCopiesOfWhatCanBeRead) {
  const TemporaryFolder folder;
  const dataloader::Image picture{30, 10, std::vector<std::uint8_t>(900, 128)};
  write_png(folder / "a.png", picture);
  write_file_atomically(folder / "broken.png", "no picture");
  PictureStrip strip(16);
  strip.add(1, folder / "a.png");
  strip.add(2, folder / "broken.png");
  strip.add(3, folder / "missing.png");
  strip.encode(15);
  ASSERT_EQ(strip.pictures().size(), 1);
  EXPECT_EQ(strip.pictures()[0].width, 15);
  EXPECT_EQ(strip.pictures()[0].height, 5);
  EXPECT_TRUE(strip.pictures()[0].jpeg.starts_with("/9j/"));  // FF D8 FF
  EXPECT_EQ(strip.pictures()[0].jpeg.size() % 4, 0);

  write_png(folder / "b.png", picture);
  strip.add(4, folder / "b.png");
  strip.encode(200);
  ASSERT_EQ(strip.pictures().size(), 2);
  EXPECT_EQ(strip.pictures()[1].width, 30);  // never larger than it is
  EXPECT_EQ(strip.pictures()[0].width, 15);  // made already
}

}  // namespace
}  // namespace crescendo::pipelines
