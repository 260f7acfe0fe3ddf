#include "pipelines/serving/request_image.h"

#include <algorithm>
#include <cmath>

#include "core/base64.h"
#include "dataloader/decode_image.h"
#include "dataloader/resize.h"
#include "pipelines/serving/api_error.h"

namespace crescendo::pipelines {

using dataloader::Image;
using dataloader::Size;

namespace {

constexpr std::uint64_t kMostUnwrapped = std::uint64_t{1} << 26;

/// The smallest size of the image's proportions that covers `size`.
Size covering_size(const Image& image, Size size) {
  const double scale =
      std::max(static_cast<double>(size.width) / static_cast<double>(image.width),
               static_cast<double>(size.height) / static_cast<double>(image.height));
  const auto side = [scale](std::int64_t length, std::int64_t least) {
    return std::max<std::int64_t>(least, std::llround(scale * static_cast<double>(length)));
  };
  return {side(image.width, size.width), side(image.height, size.height)};
}

}  // namespace

std::vector<std::byte> parse_image_file(const Json& value, const std::string& field) {
  if (!value.is_string()) {
    throw field_error(field, fmt::format("expected base64, found {}", value.type_name()));
  }
  std::string_view text = value.get_ref<const std::string&>();
  if (text.starts_with("http://") || text.starts_with("https://")) {
    throw field_error(field, "expected base64; the server fetches no addresses");
  }
  if (text.starts_with("data:")) text.remove_prefix(std::min(text.find(',') + 1, text.size()));
  auto bytes = from_base64(text);
  if (!bytes || bytes->empty()) throw field_error(field, "expected base64 of a PNG, JPEG or WebP");
  return *std::move(bytes);
}

Image parse_image(const Json& value, const std::string& field, Size size, ImageFit fit,
                  std::int64_t max_pixels) {
  const std::vector<std::byte> bytes = parse_image_file(value, field);
  try {
    const Image image = dataloader::decode_image(
        bytes, {.max_pixels = 4 * max_pixels, .max_unwrapped_bytes = kMostUnwrapped});
    const Size scaled = fit == ImageFit::kStretch ? size : covering_size(image, size);
    if (scaled.width > 64 * max_pixels / scaled.height) {
      throw field_error(field, fmt::format("too narrow to crop: {}x{}", image.width, image.height));
    }
    return dataloader::resize(image, scaled, dataloader::center_window(scaled, size),
                              dataloader::Filter::kLanczos);
  } catch (const dataloader::SampleError& failure) {
    throw field_error(field, failure.what());
  }
}

}  // namespace crescendo::pipelines
