#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace crescendo::dataloader {

/// N samples of one size, field by field.
struct Batch {
  std::int64_t width = 0;  ///< of the images, or of the latents that come in their place
  std::int64_t height = 0;
  std::vector<std::uint8_t> images;             ///< [N,3,height,width] planar RGB
  std::vector<std::vector<std::byte>> latents;  ///< N safetensors files, in place of the images
  std::vector<std::string> keys;
  std::vector<std::string> captions;
  std::vector<std::int64_t> labels;     ///< -1 where not needed
  std::vector<std::uint64_t> ordinals;  ///< keys of per-sample random draws

  std::size_t size() const { return keys.size(); }
};

}  // namespace crescendo::dataloader
