#include <cstdint>
#include <span>

#include "dataloader/decode_image.h"
#include "tests/fuzz/require.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using crescendo::dataloader::Image;
  using crescendo::fuzz::require;
  constexpr std::int64_t kMaxPixels = 1 << 16;
  try {
    const Image image = crescendo::dataloader::decode_image(
        std::as_bytes(std::span(data, size)),
        {.max_pixels = kMaxPixels, .max_unwrapped_bytes = 1 << 20});
    require(image.width > 0 && image.height > 0, "an image has pixels");
    require(image.width * image.height <= kMaxPixels, "an image is within its limit");
    require(image.pixels.size() == static_cast<std::size_t>(image.width * image.height * 3),
            "an image has three bytes a pixel");
  } catch (const crescendo::dataloader::SampleError&) {
  }
  return 0;
}
