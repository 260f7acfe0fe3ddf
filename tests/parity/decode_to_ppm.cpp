// What the loader makes of images, for decode_image_test.py to compare: one binary PPM after
// another.
//
//     decode_to_ppm SIDE exact|scaled IMAGE...    SIDE 0: the whole images, upright; else squares
//     cut
//                                                 from the middle, by scaled decoding where told
#include <cstdint>
#include <cstdio>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <fmt/format.h>

#include "core/atomic_file.h"
#include "dataloader/decode_image.h"
#include "dataloader/sample_decoder.h"

namespace {

using namespace crescendo::dataloader;

Image whole(std::span<const std::byte> bytes) { return decode_image(bytes); }

Image square(std::span<const std::byte> bytes, std::int64_t side, bool scaled) {
  DataOptions options;
  options.resolution = side;
  options.jpeg_scaled_decoding = scaled;
  const RawSample sample{"image", "shard", {{"jpg", {bytes.begin(), bytes.end()}}}, {}};
  const std::vector<std::uint8_t> planar = SampleDecoder(options, {}, 0).decode(sample, 0).image;
  Image image{side, side, std::vector<std::uint8_t>(planar.size())};
  const std::size_t area = planar.size() / 3;
  for (std::size_t i = 0; i < planar.size(); ++i) image.pixels[i] = planar[i % 3 * area + i / 3];
  return image;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) return 2;
  const std::int64_t side = std::stoll(argv[1]);
  const bool scaled = argv[2] == std::string_view("scaled");
  for (int i = 3; i < argc; ++i) {
    const std::string text = crescendo::read_file(argv[i]);
    const auto bytes = std::as_bytes(std::span(text));
    const Image image = side == 0 ? whole(bytes) : square(bytes, side, scaled);
    fmt::print("P6 {} {} 255\n", image.width, image.height);
    std::fwrite(image.pixels.data(), 1, image.pixels.size(), stdout);
  }
  return 0;
}
