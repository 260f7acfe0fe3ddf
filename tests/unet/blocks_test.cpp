#include "unet/blocks.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

namespace crescendo::unet {
namespace {

const ResnetOptions kResnet{.emb_channels = 6, .groups = 2};

TEST(DownBlockTest, KeepsEveryLayerAndTheDownsampling) {
  DownBlock block(DownBlockOptions{.in_channels = 4,
                                   .out_channels = 8,
                                   .layers = 2,
                                   .downsample = true,
                                   .downsample_padding = 1,
                                   .resnet = kResnet,
                                   .attention = {}});
  Skips skips;
  const at::Tensor out = block(at::randn({1, 4, 6, 4}), at::randn({1, 6}), Context{}, skips);
  EXPECT_EQ(out.sizes(), (std::vector<std::int64_t>{1, 8, 3, 2}));
  ASSERT_EQ(skips.size(), 3U);
  EXPECT_EQ(skips[1].sizes(), (std::vector<std::int64_t>{1, 8, 6, 4}));
  EXPECT_TRUE(at::equal(skips[2], out));
}

TEST(UpBlockTest, TakesOneSkipPerLayerFromTheEnd) {
  UpBlock block(UpBlockOptions{.in_channels = 8,
                               .out_channels = 4,
                               .skip_channels = 2,
                               .layers = 2,
                               .upsample = true,
                               .resnet = kResnet,
                               .attention = {}});
  Skips skips{at::randn({1, 1, 1, 1}), at::randn({1, 2, 3, 2}), at::randn({1, 4, 3, 2})};
  const at::Tensor out = block(at::randn({1, 8, 3, 2}), at::randn({1, 6}), Context{}, skips);
  EXPECT_EQ(out.sizes(), (std::vector<std::int64_t>{1, 4, 6, 4}));
  EXPECT_EQ(skips.size(), 1U);
}

TEST(ResnetBlockTest, DropsOnlyWhileTraining) {
  ResnetOptions options = kResnet;
  options.dropout = 0.5;
  ResnetBlock block(4, 4, options);
  const at::Tensor x = at::randn({1, 4, 8, 8});
  const at::Tensor emb = at::randn({1, 6});
  EXPECT_FALSE(at::equal(block(x, emb), block(x, emb)));
  block->eval();
  EXPECT_TRUE(at::equal(block(x, emb), block(x, emb)));
}

TEST(ResnetBlockTest, DividesByTheOutputScaleFactor) {
  ResnetOptions options = kResnet;
  options.output_scale_factor = 4.0;
  ResnetBlock block(4, 4, options);
  for (const auto& parameter : block->named_parameters()) {
    if (parameter.key().starts_with("conv2")) parameter.value().detach().zero_();
  }
  const at::Tensor x = at::randn({1, 4, 2, 2});
  EXPECT_TRUE(at::allclose(block(x, at::randn({1, 6})), x / 4.0));
}

}  // namespace
}  // namespace crescendo::unet
