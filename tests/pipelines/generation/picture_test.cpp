#include "pipelines/generation/picture.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/atomic_file.h"
#include "dataloader/decode_image.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

using dataloader::Image;

Image noise_picture(std::int64_t width, std::int64_t height, std::uint8_t seed) {
  Image picture{width, height, {}};
  for (std::int64_t i = 0; i < width * height * 3; ++i) {
    picture.pixels.push_back(static_cast<std::uint8_t>(i * i * 31 + seed));
  }
  return picture;
}

std::array<int, 3> pixel(const Image& image, std::int64_t x, std::int64_t y) {
  const std::uint8_t* p = image.pixels.data() + (y * image.width + x) * 3;
  return {p[0], p[1], p[2]};
}

TEST(PictureTest, TensorBecomesBytes) {
  const at::Tensor images = at::tensor({-1.0F, 1.0F, 0.0F, -7.0F, 7.0F, 0.5F}).view({1, 3, 1, 2});
  const std::vector<Image> pictures = tensor_to_pictures(images);
  ASSERT_EQ(pictures.size(), 1U);
  EXPECT_EQ(pictures[0].width, 2);
  EXPECT_EQ(pictures[0].height, 1);
  EXPECT_EQ(pictures[0].pixels, (std::vector<std::uint8_t>{0, 128, 255, 255, 0, 191}));
}

TEST(PictureTest, GridHasRowsAndAWhiteGap) {
  std::vector<Image> pictures;
  for (std::uint8_t i = 0; i < 5; ++i) pictures.push_back(noise_picture(4, 3, i));
  const Image grid = picture_grid(pictures, 0);
  EXPECT_EQ(grid.width, 3 * 6 - 2);
  EXPECT_EQ(grid.height, 2 * 5 - 2);
  EXPECT_EQ(pixel(grid, 0, 0), pixel(pictures[0], 0, 0));
  EXPECT_EQ(pixel(grid, 12 + 3, 2), pixel(pictures[2], 3, 2));
  EXPECT_EQ(pixel(grid, 6 + 1, 5 + 2), pixel(pictures[4], 1, 2));
  const std::array<int, 3> white{255, 255, 255};
  EXPECT_EQ(pixel(grid, 4, 0), white);
  EXPECT_EQ(pixel(grid, 0, 3), white);
  EXPECT_EQ(pixel(grid, 12, 5), white);
}

TEST(PictureTest, GridOfGivenColumns) {
  const std::vector<Image> pictures(3, noise_picture(4, 3, 0));
  EXPECT_EQ(picture_grid(pictures, 1).height, 3 * 5 - 2);
  EXPECT_EQ(picture_grid(pictures, 9).width, 3 * 6 - 2);
  EXPECT_EQ(picture_grid({pictures.data(), 1}, 0).pixels, pictures[0].pixels);
}

TEST(PictureTest, PngIsReadBackAsItWas) {
  const TemporaryFolder folder;
  const Image picture = noise_picture(17, 9, 5);
  write_png(folder / "new" / "a.png", picture,
            {{"parameters", "red heart \xE2\x99\xA5\nSteps: 3"}});
  const std::string bytes = read_file(folder / "new" / "a.png");
  const Image decoded =
      dataloader::decode_image(std::as_bytes(std::span(bytes.data(), bytes.size())));
  EXPECT_EQ(decoded.width, 17);
  EXPECT_EQ(decoded.height, 9);
  EXPECT_EQ(decoded.pixels, picture.pixels);
  const std::string chunk =
      std::string("iTXtparameters\0\0\0\0\0", 19) + "red heart \xE2\x99\xA5\nSteps: 3";
  EXPECT_NE(bytes.find(chunk), std::string::npos);
}

TEST(PictureTest, SaysWhereItCannotWrite) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "file", "");
  EXPECT_EQ(error_text([&] { write_png(folder / "file" / "a.png", noise_picture(1, 1, 0)); }),
            (folder / "file").string() + ": cannot create the folder: Not a directory");
}

}  // namespace
}  // namespace crescendo::pipelines
