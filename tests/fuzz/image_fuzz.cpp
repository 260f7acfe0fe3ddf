#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>

#include "dataloader/decode_image.h"
#include "tests/fuzz/require.h"

namespace {

using namespace crescendo::dataloader;
using crescendo::fuzz::require;

constexpr std::int64_t kMaxPixels = 1 << 16;
constexpr DecodeOptions kOptions{.max_pixels = kMaxPixels, .max_unwrapped_bytes = 1 << 20};

std::optional<Image> decode(std::span<const std::byte> bytes) {
  try {
    // It throws where the decoder would: what decodes has a header that says the same.
    const ImageHeader header = read_image_header(bytes, kOptions);
    Image image = decode_image(bytes, kOptions);
    require(header.width * header.height == image.width * image.height,
            "the header tells the size");
    require(image.width > 0 && image.height > 0, "an image has pixels");
    require(image.width * image.height <= kMaxPixels, "an image is within its limit");
    require(image.pixels.size() == static_cast<std::size_t>(image.width * image.height * 3),
            "an image has three bytes a pixel");
    return image;
  } catch (const SampleError&) {
    return std::nullopt;
  }
}

/// The middle third of the image, which is not asked for where the whole cannot be decoded.
void decode_middle(std::span<const std::byte> bytes, const std::optional<Image>& whole) {
  Window window;
  const auto choose = [&](Size size) {
    window = {size.width / 3, size.height / 3, {(size.width + 2) / 3, (size.height + 2) / 3}};
    return Wanted{1, window};
  };
  try {
    const ImagePart part = decode_part(bytes, kOptions, choose).part;
    require(whole.has_value(), "damage around a part is found");
    for (std::int64_t y = window.top; y < window.top + window.size.height; ++y) {
      const auto row = part.image.pixels.begin() +
                       ((y - part.top) * part.image.width + window.left - part.left) * 3;
      require(std::equal(row, row + window.size.width * 3,
                         whole->pixels.begin() + (y * whole->width + window.left) * 3),
              "a part has the pixels of the whole");
    }
  } catch (const SampleError&) {
    require(!whole, "a part of a whole image is whole");
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto bytes = std::as_bytes(std::span(data, size));
  const std::optional<Image> whole = decode(bytes);
  decode_middle(bytes, whole);
  try {
    read_image_text(bytes);
  } catch (const SampleError&) {
  }
  try {
    decode_part(bytes, kOptions, [](Size image) { return Wanted{4, {0, 0, shrunken(image, 4)}}; });
  } catch (const SampleError&) {
  }
  return 0;
}
