#include "pipelines/generation/picture.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>

#include <ATen/Functions.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "dataloader/decode_image.h"
#include "dataloader/resize.h"

namespace crescendo::pipelines {

using dataloader::Image;

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

Image read_picture(const std::filesystem::path& file) {
  const std::string bytes = read_file(file);
  try {
    return dataloader::decode_image(std::as_bytes(std::span(bytes)));
  } catch (const dataloader::SampleError& failure) {
    throw UserError("{}: {}", file.string(), failure.what());
  }
}

at::Tensor picture_to_tensor(const Image& picture) {
  const at::Tensor bytes = at::tensor(at::ArrayRef<std::uint8_t>(picture.pixels), at::kByte);
  return bytes.view({picture.height, picture.width, 3})
      .permute({2, 0, 1})
      .to(at::kFloat)
      .div(127.5)
      .sub(1)
      .contiguous();
}

Image fit_picture(const Image& picture, std::int64_t width, std::int64_t height) {
  if (picture.width == width && picture.height == height) return picture;
  const double scale = std::max(static_cast<double>(width) / static_cast<double>(picture.width),
                                static_cast<double>(height) / static_cast<double>(picture.height));
  const auto scaled = [scale](std::int64_t side, std::int64_t least) {
    return std::max<std::int64_t>(std::llround(static_cast<double>(side) * scale), least);
  };
  const dataloader::Size size{scaled(picture.width, width), scaled(picture.height, height)};
  return dataloader::resize(picture, size, dataloader::center_window(size, {width, height}),
                            dataloader::Filter::kLanczos);
}

}  // namespace crescendo::pipelines
