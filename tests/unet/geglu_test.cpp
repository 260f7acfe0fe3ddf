#include "unet/geglu.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

namespace crescendo::unet {
namespace {

/// A layer that adds a bias to what it is given.
torch::nn::Linear identity(const at::Tensor& bias) {
  torch::nn::Linear layer(bias.numel(), bias.numel());
  layer->to(bias.scalar_type());
  const at::NoGradGuard no_grad;
  layer->weight.copy_(at::eye(bias.numel()));
  layer->bias.copy_(bias);
  return layer;
}

/// The output and the gradients of the input and of the bias.
std::vector<at::Tensor> results(const at::Tensor& input, const at::Tensor& bias,
                                const at::Tensor& grad) {
  const torch::nn::Linear layer = identity(bias);
  const at::Tensor leaf = input.detach().requires_grad_();
  const at::Tensor output = geglu(layer, leaf);
  const auto gradients = torch::autograd::grad({output}, {leaf, layer->bias}, {grad});
  return {output.detach(), gradients[0], gradients[1]};
}

TEST(GegluTest, EqualsTheFormulaInFloat64AndSoDoItsGradients) {
  at::manual_seed(7);
  for (const std::int64_t width : {1, 16, 37, 64}) {
    const at::Tensor input = 2 * at::randn({3, 5, 2 * width}, at::kDouble);
    const at::Tensor bias = at::randn({2 * width}, at::kDouble);
    const at::Tensor grad = at::randn({3, 5, width}, at::kDouble);
    // ATen's, since no kernel of ours takes float64.
    const auto expected = results(input, bias, grad);
    const auto found = results(input.to(at::kFloat), bias.to(at::kFloat), grad.to(at::kFloat));
    for (std::size_t i = 0; i < expected.size(); ++i) {
      EXPECT_LT((found[i] - expected[i]).abs().max().item<double>(), 5e-6) << width << ", " << i;
    }
  }
}

TEST(GegluTest, IsFiniteFarFromZero) {
  const at::Tensor bias = at::tensor({1.0F, 1.0F, 1.0F, 1.0F, -1e4F, -40.0F, 40.0F, 1e4F});
  const auto found = results(at::zeros({1, 8}), bias, at::ones({1, 4}));
  EXPECT_TRUE(at::allclose(found[0][0], at::tensor({0.0F, 0.0F, 40.0F, 1e4F}), 0, 1e-30));
  EXPECT_TRUE(
      at::allclose(found[2].narrow(0, 4, 4), at::tensor({0.0F, 0.0F, 1.0F, 1.0F}), 0, 1e-30));
}

TEST(GegluTest, TakesRowsThatAreNotContiguous) {
  const torch::nn::Linear layer = identity(at::randn({8}));
  const at::Tensor input = at::randn({6, 8});
  EXPECT_TRUE(at::equal(geglu(layer, input.t().contiguous().t()), geglu(layer, input)));
}

}  // namespace
}  // namespace crescendo::unet
