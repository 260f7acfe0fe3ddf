#include "pipelines/shards/picture_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "core/atomic_file.h"
#include "dataloader/encode_image.h"

namespace crescendo::pipelines {

using dataloader::Image;

namespace {

constexpr std::int64_t kGap = 2;

}  // namespace

Image picture_grid(std::span<const Image> pictures, std::int64_t columns) {
  const auto count = static_cast<std::int64_t>(pictures.size());
  if (columns == 0) {
    columns = static_cast<std::int64_t>(std::ceil(std::sqrt(static_cast<double>(count))));
  }
  columns = std::min(columns, count);
  const std::int64_t rows = (count + columns - 1) / columns;
  const std::int64_t width = pictures[0].width + kGap;
  const std::int64_t height = pictures[0].height + kGap;
  Image grid{columns * width - kGap, rows * height - kGap, {}};
  grid.pixels.assign(static_cast<std::size_t>(grid.width * grid.height * 3), 255);
  for (std::int64_t i = 0; i < count; ++i) {
    const Image& picture = pictures[static_cast<std::size_t>(i)];
    for (std::int64_t y = 0; y < picture.height; ++y) {
      const std::int64_t row = i / columns * height + y;
      std::memcpy(grid.pixels.data() + (row * grid.width + i % columns * width) * 3,
                  picture.pixels.data() + y * picture.width * 3,
                  static_cast<std::size_t>(picture.width * 3));
    }
  }
  return grid;
}

void write_png(const std::filesystem::path& path, const Image& picture,
               const std::map<std::string, std::string>& text) {
  const std::vector<std::byte> bytes = dataloader::encode_png(picture, {}, text);
  write_file_atomically(path, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

}  // namespace crescendo::pipelines
