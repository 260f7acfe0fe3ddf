#include "vae/tiling.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

namespace crescendo::vae {
namespace {

struct Case {
  Tiling tiling;
  std::int64_t height;  ///< positions of the latents
  std::int64_t width;
};

class TilingTest : public testing::TestWithParam<Case> {};

// What sees one position at a time makes the same of tiles as of the whole, however they are cut.
TEST_P(TilingTest, OfAPointwiseFunctionIsTheWhole) {
  const auto [tiling, height, width] = GetParam();
  constexpr std::int64_t kFactor = 4;
  std::int64_t largest = 0;
  const at::Tensor latents = at::randn({2, 3, height, width});
  const auto enlarge = [&](const at::Tensor& tile) {
    largest = std::max({largest, tile.size(2), tile.size(3)});
    return at::upsample_nearest2d(tile, {tile.size(2) * kFactor, tile.size(3) * kFactor});
  };
  const at::Tensor image = apply_tiled(latents, tiling, {1, kFactor}, enlarge);
  EXPECT_LE(largest, tiling.size);
  const at::Tensor whole = enlarge(latents);
  ASSERT_EQ(image.sizes(), whole.sizes());
  EXPECT_LT((image - whole).abs().max().item<double>(), 1e-6);

  const auto reduce = [](const at::Tensor& tile) {
    return at::avg_pool2d(tile, {kFactor, kFactor});
  };
  const at::Tensor reduced = apply_tiled(whole, tiling, {kFactor, 1}, reduce);
  ASSERT_EQ(reduced.sizes(), latents.sizes());
  EXPECT_LT((reduced - latents).abs().max().item<double>(), 1e-6);
}

INSTANTIATE_TEST_SUITE_P(
    Cases, TilingTest,
    testing::Values(Case{{8, 2, Blend::kNeighbours}, 5, 8},    // one tile
                    Case{{8, 2, Blend::kNeighbours}, 12, 13},  // the last ones as narrow as 1
                    Case{{8, 2, Blend::kNeighbours}, 8, 31},   // a second row within the first
                    Case{{4, 1, Blend::kNeighbours}, 9, 10},   // the least there is
                    Case{{16, 2, Blend::kCanvas}, 5, 14},      // one tile
                    Case{{16, 2, Blend::kCanvas}, 15, 29},     // the last ones as narrow as 1
                    Case{{16, 2, Blend::kCanvas}, 30, 47}, Case{{64, 8, Blend::kCanvas}, 64, 121}));

TEST(TilingTest, LeadsFromOneTileToTheNext) {
  // Tile t of the row is t everywhere: what is left is the ramp.
  const auto row_of = [](const Tiling& tiling, std::int64_t width) {
    int count = 0;
    const auto number = [&](const at::Tensor& tile) { return at::full_like(tile, count++); };
    return apply_tiled(at::zeros({1, 1, 1, width}), tiling, {1, 1}, number).flatten();
  };
  EXPECT_TRUE(at::allclose(row_of({8, 2, Blend::kNeighbours}, 10),
                           at::tensor({0., 0., 0., 0., 0., 0., 0., .5, 1., 1.}, at::kFloat)));
  EXPECT_TRUE(
      at::allclose(row_of({8, 4, Blend::kCanvas}, 12),
                   at::tensor({0., 0., 0., 0., 0., 1. / 3, 2. / 3, 1., 1. + 0., 4. / 3, 5. / 3, 2.},
                              at::kFloat)));
}

}  // namespace
}  // namespace crescendo::vae
