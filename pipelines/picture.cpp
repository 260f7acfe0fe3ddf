#include "pipelines/picture.h"

#include <algorithm>
#include <cmath>
#include <csetjmp>
#include <cstring>

#include <png.h>

#include <ATen/Functions.h>

#include "core/atomic_file.h"
#include "core/error.h"

namespace crescendo::pipelines {

using dataloader::Image;

namespace {

constexpr std::int64_t kGap = 2;

/// Compresses into `bytes`; false when libpng fails. Apart, because longjmp passes over no
/// destructors here.
bool encode(png_structp png, png_infop info, const Image& picture, std::vector<png_text>& chunks,
            std::vector<png_bytep>& rows) {
  if (setjmp(png_jmpbuf(png)) != 0) return false;
  png_set_IHDR(png, info, static_cast<png_uint_32>(picture.width),
               static_cast<png_uint_32>(picture.height), 8, PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_set_text(png, info, chunks.data(), static_cast<int>(chunks.size()));
  png_set_rows(png, info, rows.data());
  png_write_png(png, info, PNG_TRANSFORM_IDENTITY, nullptr);
  return true;
}

}  // namespace

std::vector<Image> tensor_to_pictures(const at::Tensor& images) {
  const at::Tensor bytes = images.detach()
                               .to(at::kCPU, at::kFloat)
                               .clamp(-1, 1)
                               .add(1)
                               .mul(127.5)
                               .round()
                               .to(at::kByte)
                               .permute({0, 2, 3, 1})
                               .contiguous();
  std::vector<Image> pictures;
  for (std::int64_t i = 0; i < bytes.size(0); ++i) {
    const at::Tensor one = bytes[i];
    const std::uint8_t* first = one.data_ptr<std::uint8_t>();
    pictures.push_back({one.size(1), one.size(0), {first, first + one.numel()}});
  }
  return pictures;
}

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
  std::vector<png_text> chunks;
  for (const auto& [key, value] : text) {
    png_text chunk{};
    chunk.compression = PNG_ITXT_COMPRESSION_NONE;
    chunk.key = const_cast<char*>(key.c_str());
    chunk.text = const_cast<char*>(value.c_str());
    chunk.itxt_length = value.size();
    chunks.push_back(chunk);
  }
  std::vector<png_bytep> rows;
  for (std::int64_t y = 0; y < picture.height; ++y) {
    rows.push_back(const_cast<png_bytep>(picture.pixels.data()) + y * picture.width * 3);
  }
  std::string bytes;
  png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, nullptr, nullptr, nullptr);
  png_infop info = png == nullptr ? nullptr : png_create_info_struct(png);
  if (info == nullptr) throw Error("libpng cannot be started");
  png_set_write_fn(
      png, &bytes,
      [](png_structp writer, png_bytep data, png_size_t size) {
        static_cast<std::string*>(png_get_io_ptr(writer))
            ->append(reinterpret_cast<const char*>(data), size);
      },
      nullptr);
  const bool encoded = encode(png, info, picture, chunks, rows);
  png_destroy_write_struct(&png, &info);
  if (!encoded) throw Error(path.string() + ": libpng cannot encode the picture");
  write_file_atomically(path, bytes);
}

}  // namespace crescendo::pipelines
