#include "vae/tiling.h"

#include <algorithm>
#include <utility>
#include <vector>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

namespace crescendo::vae {

namespace {

constexpr std::int64_t kRows = 2;  ///< dimensions of [N, C, H, W]
constexpr std::int64_t kColumns = 3;

at::Tensor head(const at::Tensor& tile, std::int64_t dim, std::int64_t length) {
  return tile.narrow(dim, 0, std::min(length, tile.size(dim)));
}

/// 1 along every dimension but `dim`, to be multiplied with a tile.
at::Tensor along(const at::Tensor& ramp, std::int64_t dim) {
  return dim == kRows ? ramp.view({-1, 1}) : ramp.view({1, -1});
}

/// The input of the tile at these positions, which the border may cut.
at::Tensor input_tile(const at::Tensor& input, std::int64_t row, std::int64_t column,
                      std::int64_t side) {
  const auto part = [&](const at::Tensor& x, std::int64_t dim, std::int64_t start) {
    return x.narrow(dim, start, std::min(side, x.size(dim) - start));
  };
  return part(part(input, kRows, row), kColumns, column);
}

/// Leads from the end of `before` into the beginning of `tile`, in place: position i of e has
/// i / e of the tile.
void blend_neighbour(const at::Tensor& before, const at::Tensor& tile, std::int64_t dim,
                     std::int64_t overlap) {
  const std::int64_t extent = std::min({before.size(dim), tile.size(dim), overlap});
  const at::Tensor ramp = at::arange(extent, tile.options()) / static_cast<double>(extent);
  const at::Tensor fading = before.narrow(dim, before.size(dim) - extent, extent);
  const at::Tensor rising = tile.narrow(dim, 0, extent);
  rising.copy_(at::lerp(fading, rising, along(ramp, dim)));
}

at::Tensor apply_with_neighbours(const at::Tensor& input, const Tiling& tiling,
                                 const TileScale& scale, const TileFunction& apply) {
  const std::int64_t side = tiling.size * scale.input;
  if (input.size(kRows) <= side && input.size(kColumns) <= side) return apply(input);
  const std::int64_t stride = (tiling.size - tiling.overlap) * scale.input;
  const std::int64_t overlap = tiling.overlap * scale.output;
  const std::int64_t kept = (tiling.size - tiling.overlap) * scale.output;
  std::vector<at::Tensor> above;  // the blended tiles of the row before
  std::vector<at::Tensor> rows;
  for (std::int64_t row = 0; row < input.size(kRows); row += stride) {
    std::vector<at::Tensor> tiles;
    std::vector<at::Tensor> parts;
    for (std::int64_t column = 0; column < input.size(kColumns); column += stride) {
      at::Tensor tile = apply(input_tile(input, row, column, side));
      if (row > 0) blend_neighbour(above[tiles.size()], tile, kRows, overlap);
      if (column > 0) blend_neighbour(tiles.back(), tile, kColumns, overlap);
      parts.push_back(head(head(tile, kRows, kept), kColumns, kept));
      tiles.push_back(std::move(tile));
    }
    rows.push_back(at::cat(parts, kColumns));
    above = std::move(tiles);
  }
  return at::cat(rows, kRows);
}

at::Tensor apply_on_canvas(const at::Tensor& input, const Tiling& tiling, const TileScale& scale,
                           const TileFunction& apply) {
  const std::int64_t side = tiling.size * scale.input;
  const std::int64_t stride = (tiling.size - tiling.overlap) * scale.input;
  const std::int64_t overlap = tiling.overlap * scale.output;
  // Position i of the overlap e has i / (e - 1) of the tile.
  const at::Tensor ramp = at::arange(tiling.size * scale.output, input.options())
                              .div(static_cast<double>(std::max<std::int64_t>(overlap - 1, 1)))
                              .clamp_max(1);
  at::Tensor canvas;
  for (std::int64_t row = 0; row < input.size(kRows); row += stride) {
    for (std::int64_t column = 0; column < input.size(kColumns); column += stride) {
      const at::Tensor tile = apply(input_tile(input, row, column, side));
      if (!canvas.defined()) {
        canvas =
            at::zeros({input.size(0), tile.size(1), input.size(kRows) / scale.input * scale.output,
                       input.size(kColumns) / scale.input * scale.output},
                      tile.options());
      }
      const std::int64_t height = tile.size(kRows);
      const std::int64_t width = tile.size(kColumns);
      at::Tensor weight = at::ones({height, width}, tile.options());
      if (row > 0) weight.mul_(along(ramp.narrow(0, 0, height), kRows));
      if (column > 0) weight.mul_(along(ramp.narrow(0, 0, width), kColumns));
      const at::Tensor place = canvas.narrow(kRows, row / scale.input * scale.output, height)
                                   .narrow(kColumns, column / scale.input * scale.output, width);
      place.copy_(at::lerp(place, tile, weight));
    }
  }
  return canvas;
}

}  // namespace

at::Tensor apply_tiled(const at::Tensor& input, const Tiling& tiling, const TileScale& scale,
                       const TileFunction& apply) {
  const auto apply_to_tiles =
      tiling.blend == Blend::kNeighbours ? apply_with_neighbours : apply_on_canvas;
  return apply_to_tiles(input, tiling, scale, apply);
}

}  // namespace crescendo::vae
