#include "pipelines/generation/picture.h"

#include <ATen/Functions.h>

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

}  // namespace crescendo::pipelines
