#include <cstdint>
#include <span>

#include "dataloader/decode_image.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using crescendo::dataloader::Image;
  using crescendo::fuzz::require;
  constexpr std::int64_t kMaxPixels = 1 << 16;
  const auto bytes = std::as_bytes(std::span(data, size));
  const crescendo::dataloader::DecodeOptions options{.max_pixels = kMaxPixels,
                                                     .max_unwrapped_bytes = 1 << 20};
  try {
    // It throws where the decoder would: what decodes has a header that says the same.
    const auto header = crescendo::dataloader::read_image_header(bytes, options);
    const Image image = crescendo::dataloader::decode_image(bytes, options);
    require(header.width * header.height == image.width * image.height,
            "the header tells the size");
    require(image.width > 0 && image.height > 0, "an image has pixels");
    require(image.width * image.height <= kMaxPixels, "an image is within its limit");
    require(image.pixels.size() == static_cast<std::size_t>(image.width * image.height * 3),
            "an image has three bytes a pixel");
  } catch (const crescendo::dataloader::SampleError&) {
  }
  return 0;
}
