#pragma once

#include <cstdint>
#include <functional>

#include <ATen/core/Tensor.h>

namespace crescendo::vae {

// A large picture in overlapping tiles, one after the other: memory is that of one tile and of the
// result. The tiles overlap and are blended, and still a little differs from the whole picture at
// once, because norms and attention see one tile each.

/// How a tile is blended with those before it; as the reference does it for each of its classes.
enum class Blend {
  kNeighbours,  ///< AutoencoderKL: from the tile above, then from the one to the left
  kCanvas       ///< AutoencoderTiny: from what was written so far, both sides at once
};

/// In positions of the latents.
struct Tiling {
  std::int64_t size;     ///< side of a tile
  std::int64_t overlap;  ///< with the next tile, at least 1
  Blend blend;
};

/// Pixels to a position of the latents, of what goes in and of what comes out: {f, 1} to encode,
/// {1, f} to decode.
struct TileScale {
  std::int64_t input;
  std::int64_t output;
};

using TileFunction = std::function<at::Tensor(const at::Tensor& tile)>;

/// input: [N, C, h*scale.input, w*scale.input] -> [N, C', h*scale.output, w*scale.output], where
/// `apply` makes such an output of a tile.
at::Tensor apply_tiled(const at::Tensor& input, const Tiling& tiling, const TileScale& scale,
                       const TileFunction& apply);

}  // namespace crescendo::vae
