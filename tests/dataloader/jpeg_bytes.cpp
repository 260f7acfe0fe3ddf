#include "tests/dataloader/jpeg_bytes.h"

#include <array>
#include <cstdio>
#include <cstdlib>
#include <memory>

#include <jpeglib.h>

#include "core/random.h"

namespace crescendo::dataloader {

namespace {

/// APP1 with a little-endian TIFF of one entry.
void write_orientation(jpeg_compress_struct& info, int orientation) {
  std::array<JOCTET, 32> exif{'E',  'x',  'i', 'f', 0, 0, 'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0,
                              0x12, 0x01, 3,   0,   1, 0, 0,   0,   0,  0, 0, 0, 0, 0, 0, 0};
  exif[24] = static_cast<JOCTET>(orientation);
  jpeg_write_marker(&info, JPEG_APP0 + 1, exif.data(), exif.size());
}

void set_form(jpeg_compress_struct& info, const JpegForm& form) {
  info.image_width = static_cast<JDIMENSION>(form.width);
  info.image_height = static_cast<JDIMENSION>(form.height);
  info.input_components = form.gray ? 1 : 3;
  info.in_color_space = form.gray ? JCS_GRAYSCALE : JCS_RGB;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, form.quality, TRUE);
  info.restart_interval = static_cast<unsigned>(form.restart_interval);
  if (!form.gray) {
    info.comp_info[0].h_samp_factor = form.horizontal_sampling;
    info.comp_info[0].v_samp_factor = form.vertical_sampling;
  }
  if (form.progressive) jpeg_simple_progression(&info);
}

}  // namespace

Bytes jpeg_bytes(const JpegForm& form, std::uint64_t seed) {
  jpeg_compress_struct info{};
  jpeg_error_mgr errors{};
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* data = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &data, &size);
  set_form(info, form);
  jpeg_start_compress(&info, TRUE);
  write_orientation(info, form.orientation);
  RandomStream random(seed, Purpose::kNoise, 0);
  std::vector<unsigned char> row(static_cast<std::size_t>(form.width * info.input_components));
  for (int y = 0; y < form.height; ++y) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const auto slope = static_cast<std::uint64_t>(i + static_cast<std::size_t>(y) * 2) % 128;
      row[i] = static_cast<unsigned char>(slope + random.below(128));
    }
    JSAMPROW rows = row.data();
    jpeg_write_scanlines(&info, &rows, 1);
  }
  jpeg_finish_compress(&info);
  jpeg_destroy_compress(&info);
  const std::unique_ptr<unsigned char, decltype(&std::free)> owner(data, std::free);
  const auto bytes = std::as_bytes(std::span(data, size));
  return {bytes.begin(), bytes.end()};
}

}  // namespace crescendo::dataloader
