// Small files that ask for much: refused by their headers, before pixels are allocated.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>
#include <jpeglib.h>
#include <zlib.h>

#include "dataloader/decode_image.h"
#include "dataloader/sample_reader.h"
#include "tests/dataloader/tar_bytes.h"

namespace crescendo::dataloader {

namespace {

/// The most memory that this process had since the last call, KiB; 0 where the system does not
/// tell.
long peak_memory() {
  long peak = 0;
  std::ifstream lines("/proc/self/status");
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with("VmHWM:")) peak = std::stol(line.substr(6));
  }
  std::ofstream("/proc/self/clear_refs") << 5;
  return peak;
}

/// The error, found without 10 MB more than what is in use already.
std::string error_of(const Bytes& bytes) {
  peak_memory();
  const long before = peak_memory();
  const std::string text = sample_error_text([&] { decode_image(bytes); });
  EXPECT_LT(peak_memory() - before, 10'000);
  return text;
}

/// Writes the low bytes of `value` at `offset`.
void put(Bytes& bytes, std::size_t offset, std::size_t width, std::uint32_t value,
         bool big_endian) {
  for (std::size_t i = 0; i < width; ++i) {
    const std::size_t shift = 8 * (big_endian ? width - 1 - i : i);
    bytes.at(offset + i) = static_cast<std::byte>(value >> shift & 0xFF);
  }
}

std::size_t position_of(const Bytes& bytes, std::string_view what) {
  const std::size_t position = text_of(bytes).find(what);
  if (position == std::string::npos) throw std::runtime_error("not in the image");
  return position;
}

TEST(ImageBombTest, RefusesAHugeJpeg) {
  Bytes jpeg = read_data("baseline.jpg");
  const std::size_t frame = position_of(jpeg, "\xFF\xC0");
  put(jpeg, frame + 5, 2, 65'500, true);
  put(jpeg, frame + 7, 2, 65'500, true);
  EXPECT_EQ(error_of(jpeg), "image too large: 65500 x 65500 pixels; max_pixels is 89478485");
}

Bytes png_of_size(std::uint32_t width, std::uint32_t height) {
  Bytes png = read_data("deep.png");
  put(png, 16, 4, width, true);
  put(png, 20, 4, height, true);
  const auto crc = crc32(0, reinterpret_cast<const Bytef*>(png.data() + 12), 17);
  put(png, 29, 4, static_cast<std::uint32_t>(crc), true);
  return png;
}

TEST(ImageBombTest, RefusesAHugePng) {
  EXPECT_EQ(error_of(png_of_size(30'000, 30'000)),
            "image too large: 30000 x 30000 pixels; max_pixels is 89478485");
  EXPECT_EQ(error_of(png_of_size(2'000'000, 2'000'000)), "corrupt image: PNG: Invalid IHDR data");
}

TEST(ImageBombTest, RefusesAHugeWebp) {
  Bytes webp = read_data("lossless.webp");
  const std::size_t header = position_of(webp, "VP8L") + 9;  // behind size and signature
  put(webp, header, 4, 16'383U | 16'383U << 14, false);
  EXPECT_EQ(error_of(webp), "image too large: 16384 x 16384 pixels; max_pixels is 89478485");
}

TEST(ImageBombTest, RefusesAHugeCanvasOfAnAnimation) {
  Bytes webp = read_data("animated.webp");
  const std::size_t header = position_of(webp, "VP8X") + 12;
  put(webp, header, 3, 19'999, false);
  put(webp, header + 3, 3, 19'999, false);
  EXPECT_EQ(error_of(webp), "image too large: 20000 x 20000 pixels; max_pixels is 89478485");
}

/// A grey progressive JPEG: one scan of the first coefficient, then `passes` scans of each of the
/// other 63.
Bytes jpeg_of_scans(int passes) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &data, &size);
  info.image_width = info.image_height = 8;
  info.input_components = 1;
  info.in_color_space = JCS_GRAYSCALE;
  jpeg_set_defaults(&info);
  std::vector<jpeg_scan_info> scans{{1, {0, 0, 0, 0}, 0, 0, 0, 0}};
  for (int low = passes - 1; low >= 0; --low) {
    const int high = low == passes - 1 ? 0 : low + 1;
    for (int i = 1; i < 64; ++i) scans.push_back({1, {0, 0, 0, 0}, i, i, high, low});
  }
  info.scan_info = scans.data();
  info.num_scans = static_cast<int>(scans.size());
  jpeg_start_compress(&info, TRUE);
  unsigned char row[8] = {0, 90, 250, 3, 8, 70, 255, 30};
  JSAMPROW rows = row;
  for (int y = 0; y < 8; ++y) jpeg_write_scanlines(&info, &rows, 1);
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  const std::unique_ptr<unsigned char, decltype(&std::free)> owner(data, std::free);
  const auto bytes = std::as_bytes(std::span(data, size));
  return {bytes.begin(), bytes.end()};
}

TEST(ImageBombTest, RefusesAJpegOfManyScans) {
  EXPECT_EQ(error_of(jpeg_of_scans(1)), "");
  Bytes many = jpeg_of_scans(2);
  EXPECT_EQ(error_of(many), "corrupt image: JPEG: more than 100 scans");
  // Each scan would go through all of this, and its coefficients would take 160 MB.
  const std::size_t frame = position_of(many, "\xFF\xC2");
  put(many, frame + 5, 2, 9'000, true);
  put(many, frame + 7, 2, 9'000, true);
  EXPECT_EQ(error_of(many), "corrupt image: JPEG: more than 100 scans");
}

// What looks like the beginning of a scan within a comment is none.
TEST(ImageBombTest, CountsOnlyScans) {
  Bytes jpeg = read_data("progressive.jpg");
  std::string comment("\xFF\xFE\x01\x92", 4);
  for (int i = 0; i < 200; ++i) comment += "\xFF\xDA";
  const Bytes bytes = bytes_of(comment);
  jpeg.insert(jpeg.begin() + 2, bytes.begin(), bytes.end());
  EXPECT_EQ(error_of(jpeg), "");
  jpeg.insert(jpeg.end(), bytes.begin() + 4, bytes.end());  // behind the end, as of a motion photo
  EXPECT_EQ(error_of(jpeg), "");
}

TEST(ImageBombTest, RefusesAGzip) {
  Bytes bomb = gzip(Bytes(200'000'000));
  EXPECT_EQ(error_of(bomb),
            fmt::format("image too large: 200000000 bytes in a gzip of {}; at most {} are read",
                        bomb.size(), 100 * bomb.size()));
  put(bomb, bomb.size() - 4, 4, 1000, false);
  EXPECT_EQ(error_of(bomb), "corrupt image: the gzip holds more bytes than its end tells");
}

TEST(ImageBombTest, PassesOverAMemberThatIsTooLarge) {
  const Bytes shard =
      gzip(TarBytes().add("a.jpg", std::string(50'000'000, 0)).add("b.txt", "next").end().bytes());
  peak_memory();
  const long before = peak_memory();
  TarReader archive(shard, "shard.tar.gz");
  SampleReader reader(archive, 1 << 20);
  EXPECT_EQ(reader.next()->defect->cause, "sample too large");
  EXPECT_EQ(reader.next()->key, "b");
  EXPECT_LT(peak_memory() - before, 10'000);
}

}  // namespace

}  // namespace crescendo::dataloader
