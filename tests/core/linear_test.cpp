#include "core/linear.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

namespace crescendo {
namespace {

/// Rows that are no multiple of the parts, too.
const std::vector<std::vector<std::int64_t>> kShapes{{512, 24}, {3, 1111, 24}, {2, 8192, 24}};

/// The output and the gradients of x, weight and bias; in the type of these.
std::vector<at::Tensor> results(const std::vector<at::Tensor>& inputs, const at::Tensor& grad) {
  std::vector<at::Tensor> leaves;
  for (const at::Tensor& input : inputs) leaves.push_back(input.detach().requires_grad_());
  const at::Tensor output =
      linear(leaves[0], leaves[1], leaves.size() > 2 ? leaves[2] : at::Tensor());
  std::vector<at::Tensor> all = torch::autograd::grad({output}, leaves, {grad});
  all.insert(all.begin(), output.detach());
  return all;
}

TEST(LinearTest, EqualsAtensInFloat64AndSoDoItsGradients) {
  for (const std::vector<std::int64_t>& shape : kShapes) {
    for (const bool biased : {true, false}) {
      SCOPED_TRACE(testing::Message() << at::IntArrayRef(shape) << (biased ? ", biased" : ""));
      std::vector<at::Tensor> inputs{at::randn(shape, at::kDouble),
                                     at::randn({40, 24}, at::kDouble)};
      if (biased) inputs.push_back(at::randn({40}, at::kDouble));
      std::vector<std::int64_t> shape_of_grad = shape;
      shape_of_grad.back() = 40;
      const at::Tensor grad = at::randn(shape_of_grad, at::kDouble);
      const auto expected = results(inputs, grad);  // float64 is ATen's
      for (at::Tensor& input : inputs) input = input.to(at::kFloat);
      const auto found = results(inputs, grad.to(at::kFloat));
      ASSERT_EQ(found.size(), expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        ASSERT_EQ(found[i].sizes(), expected[i].sizes());
        const double scale = std::max(1.0, expected[i].abs().max().item<double>());
        EXPECT_LT((found[i] - expected[i]).abs().max().item<double>() / scale, 2e-6) << i;
      }
    }
  }
}

TEST(LinearTest, FrozenPartsAskForNoGradient) {
  const torch::nn::Linear layer(24, 40);
  const at::Tensor x = at::randn({600, 24}).requires_grad_();
  layer->weight.set_requires_grad(false);
  const auto of_x_and_bias = torch::autograd::grad({linear(layer, x).sum()}, {x, layer->bias});
  EXPECT_TRUE(at::allclose(of_x_and_bias[0], layer->weight.sum(0).expand({600, 24})));
  EXPECT_TRUE(of_x_and_bias[1].equal(at::full({40}, 600.0F)));
  layer->weight.set_requires_grad(true);
  const auto of_weight = torch::autograd::grad({linear(layer, x.detach()).sum()}, {layer->weight});
  EXPECT_TRUE(at::allclose(of_weight[0], x.detach().sum(0).expand({40, 24}), 1e-4, 1e-4));
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(linear(layer, x).equal(at::linear(x, layer->weight, layer->bias)));
}

}  // namespace
}  // namespace crescendo
