#include "pipelines/evaluation/image_source.h"

#include <algorithm>
#include <span>

#include <fmt/format.h>
#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "dataloader/shard_writer.h"
#include "pipelines/shards/picture_file.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

/// FOLDER/cats/0.png ... of grey levels 0, 1, ... and widths 2, 3, ...
void make_images(const std::filesystem::path& folder, int count) {
  for (int i = 0; i < count; ++i) {
    const std::int64_t width = 2 + i;
    const auto pixels = static_cast<std::size_t>(width * 3);
    write_png(folder / "cats" / fmt::format("{}.png", i),
              {width, 1, std::vector<std::uint8_t>(pixels, static_cast<std::uint8_t>(i))});
  }
}

std::vector<int> levels_of(ImageSource& source) {
  std::vector<int> levels;
  while (const auto image = source.next()) levels.push_back(image->image.pixels[0]);
  return levels;
}

TEST(ImageSourceTest, AFolderInTheOrderOfNamesWithCaptionsAndClasses) {
  const TemporaryFolder folder;
  make_images(folder.path(), 3);
  write_file_atomically(folder / "cats/1.txt", "a grey cat\n");
  const auto source = open_images(folder.path(), 0, 0, "--images");
  EXPECT_EQ(source->size(), 3U);
  const auto first = source->next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->name, (folder / "cats/0.png").string());
  EXPECT_EQ(first->image.width, 2);
  EXPECT_EQ(first->caption, "");
  EXPECT_EQ(first->label, "cats");
  EXPECT_EQ(source->next()->caption, "a grey cat");
  EXPECT_EQ(source->next()->image.width, 4);
  EXPECT_FALSE(source->next());
  EXPECT_EQ(source->skipped(), 0U);
}

TEST(ImageSourceTest, UnreadableImagesAreSkippedAndCounted) {
  const TemporaryFolder folder;
  make_images(folder.path(), 3);
  const std::string whole = read_file(folder / "cats/1.png");
  write_file_atomically(folder / "cats/1.png", whole.substr(0, whole.size() / 2));
  const auto source = open_images(folder.path(), 0, 0, "--images");
  EXPECT_EQ(levels_of(*source), (std::vector<int>{0, 2}));
  EXPECT_EQ(source->skipped(), 1U);
}

TEST(ImageSourceTest, APartOfAFolderIsDrawnByTheSeed) {
  const TemporaryFolder folder;
  make_images(folder.path(), 9);
  const auto part = [&](std::uint64_t seed) {
    return levels_of(*open_images(folder.path(), 4, seed, "--images"));
  };
  EXPECT_EQ(part(1).size(), 4U);
  EXPECT_EQ(part(1), part(1));
  EXPECT_NE(part(1), part(2));
  EXPECT_TRUE(std::ranges::is_sorted(part(1)));
  EXPECT_EQ(levels_of(*open_images(folder.path(), 99, 1, "--images")).size(), 9U);
}

TEST(ImageSourceTest, ShardsByFolderAndByGlob) {
  const TemporaryFolder folder;
  make_images(folder.path(), 4);
  dataloader::ShardWriter writer({.folder = folder / "shards"});
  for (int i = 0; i < 4; ++i) {
    const std::string image = read_file(folder / fmt::format("cats/{}.png", i));
    const std::string label = "7\n";
    writer.write(std::to_string(i), {{{"png", std::as_bytes(std::span(image))},
                                      {"cls", std::as_bytes(std::span(label))}}});
  }
  writer.finish();
  for (const std::string& path :
       {(folder / "shards").string(), (folder / "shards/*.tar").string()}) {
    EXPECT_EQ(levels_of(*open_images(path, 0, 0, "--images")), (std::vector<int>{0, 1, 2, 3}));
    const auto source = open_images(path, 2, 0, "--images");
    EXPECT_EQ(source->next()->label, "7");
    EXPECT_EQ(levels_of(*source), (std::vector<int>{1}));
  }
}

TEST(ImageSourceTest, WhatIsNotThereIsNamed) {
  EXPECT_EQ(error_text([] { open_images("/nowhere/at/all", 0, 0, "--images"); }),
            "--images: /nowhere/at/all: is not there; expected a folder of images, or shards "
            "(.tar)");
}

}  // namespace
}  // namespace crescendo::pipelines
