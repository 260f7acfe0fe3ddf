#include "unet/geglu.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

namespace crescendo::unet {
namespace {

/// The output and the gradient of the input.
std::vector<at::Tensor> results(const at::Tensor& input, const at::Tensor& grad) {
  const at::Tensor leaf = input.detach().requires_grad_();
  const at::Tensor output = geglu(leaf);
  return {output.detach(), torch::autograd::grad({output}, {leaf}, {grad})[0]};
}

TEST(GegluTest, EqualsTheFormulaInFloat64AndSoDoesItsGradient) {
  at::manual_seed(7);
  for (const std::int64_t width : {1, 16, 37, 64}) {
    const at::Tensor input = 3 * at::randn({3, 5, 2 * width}, at::kDouble);
    const at::Tensor grad = at::randn({3, 5, width}, at::kDouble);
    // ATen's, since no kernel of ours takes float64.
    const auto expected = results(input, grad);
    const auto found = results(input.to(at::kFloat), grad.to(at::kFloat));
    for (std::size_t i = 0; i < 2; ++i) {
      EXPECT_LT((found[i] - expected[i]).abs().max().item<double>(), 5e-6) << width << ", " << i;
    }
  }
}

TEST(GegluTest, IsFiniteFarFromZero) {
  const at::Tensor input = at::tensor({1.0F, 1.0F, 1.0F, 1.0F, -1e4F, -40.0F, 40.0F, 1e4F});
  const auto found = results(input, at::ones({4}));
  EXPECT_TRUE(at::allclose(found[0], at::tensor({0.0F, 0.0F, 40.0F, 1e4F}), 0, 1e-30));
  EXPECT_TRUE(
      at::allclose(found[1].narrow(0, 4, 4), at::tensor({0.0F, 0.0F, 1.0F, 1.0F}), 0, 1e-30));
}

TEST(GegluTest, TakesRowsThatAreNotContiguous) {
  const at::Tensor input = at::randn({6, 8});
  EXPECT_TRUE(at::equal(geglu(input.t().contiguous().t()), geglu(input)));
}

}  // namespace
}  // namespace crescendo::unet
