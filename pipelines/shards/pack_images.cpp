#include "pipelines/shards/pack_images.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <vector>

#include "dataloader/decode_image.h"
#include "dataloader/encode_image.h"
#include "dataloader/resize.h"

namespace crescendo::pipelines {

using dataloader::Image;
using Bytes = std::vector<std::byte>;

namespace {

constexpr std::array<std::string_view, 6> kImages{"jpg", "jpeg", "jpe", "jfif", "png", "webp"};
constexpr int kJpegQuality = 95;

Image scaled(const Bytes& bytes, std::int64_t short_side, dataloader::Color background) {
  dataloader::DecodeOptions options;
  options.background = background;
  const Image image = dataloader::decode_image(bytes, options);
  const dataloader::Size size =
      dataloader::short_side_size({image.width, image.height}, short_side);
  return dataloader::resize(image, size, {0, 0, size}, dataloader::Filter::kLanczos);
}

/// What is seen on black is colour times opacity, and on white it is brighter by the transparency:
/// scaling the two and taking them apart scales with premultiplied alpha, as is right.
Bytes scale_transparent(const Bytes& bytes, std::int64_t short_side) {
  Image image = scaled(bytes, short_side, {0, 0, 0});
  const Image on_white = scaled(bytes, short_side, {255, 255, 255});
  std::vector<std::uint8_t> alpha(image.pixels.size() / 3);
  for (std::size_t i = 0; i < alpha.size(); ++i) {
    const int opacity = std::clamp(255 - (on_white.pixels[i * 3] - image.pixels[i * 3]), 0, 255);
    alpha[i] = static_cast<std::uint8_t>(opacity);
    for (std::size_t c = 0; c < 3; ++c) {
      std::uint8_t& value = image.pixels[i * 3 + c];
      if (opacity > 0) {
        value = static_cast<std::uint8_t>(std::min((value * 255 + opacity / 2) / opacity, 255));
      }
    }
  }
  return dataloader::encode_png(image, alpha);
}

void change_image(dataloader::RawMember& member, const ImageChanges& changes) {
  const dataloader::ImageHeader header = dataloader::read_image_header(member.bytes);
  if (changes.short_side > 0 && std::min(header.width, header.height) > changes.short_side) {
    member.suffix = header.has_alpha ? "png" : "jpg";
    member.bytes = header.has_alpha ? scale_transparent(member.bytes, changes.short_side)
                                    : dataloader::encode_jpeg(
                                          scaled(member.bytes, changes.short_side, {255, 255, 255}),
                                          kJpegQuality);
  } else if (changes.verify) {
    dataloader::decode_image(member.bytes);
  }
}

}  // namespace

void change_images(dataloader::RawSample& sample, const ImageChanges& changes) {
  if (sample.defect || (changes.short_side == 0 && !changes.verify)) return;
  try {
    for (dataloader::RawMember& member : sample.members) {
      if (std::ranges::find(kImages, member.suffix) == kImages.end()) continue;
      change_image(member, changes);
    }
  } catch (const dataloader::SampleError& failure) {
    sample.defect = failure.defect();
  }
}

}  // namespace crescendo::pipelines
