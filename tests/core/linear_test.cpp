#include "core/linear.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <torch/csrc/autograd/autograd.h>

namespace crescendo {
namespace {

// Wide enough that a part has work.
constexpr std::int64_t kIn = 192;
constexpr std::int64_t kOut = 320;

/// Rows that are no multiple of the parts, too, and too few to be parted.
const std::vector<std::vector<std::int64_t>> kRows{{512}, {3, 1111}, {2, 8192}, {7}};

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
  for (std::vector<std::int64_t> shape : kRows) {
    shape.push_back(kIn);
    for (const bool biased : {true, false}) {
      SCOPED_TRACE(testing::Message() << at::IntArrayRef(shape) << (biased ? ", biased" : ""));
      std::vector<at::Tensor> inputs{at::randn(shape, at::kDouble),
                                     at::randn({kOut, kIn}, at::kDouble)};
      if (biased) inputs.push_back(at::randn({kOut}, at::kDouble));
      std::vector<std::int64_t> shape_of_grad = shape;
      shape_of_grad.back() = kOut;
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
  const torch::nn::Linear layer(kIn, kOut);
  const at::Tensor x = at::randn({600, kIn}).requires_grad_();
  layer->weight.set_requires_grad(false);
  const auto of_x_and_bias = torch::autograd::grad({linear(layer, x).sum()}, {x, layer->bias});
  EXPECT_TRUE(at::allclose(of_x_and_bias[0], layer->weight.sum(0).expand({600, kIn}), 1e-5, 1e-5));
  EXPECT_TRUE(of_x_and_bias[1].equal(at::full({kOut}, 600.0F)));
  layer->weight.set_requires_grad(true);
  const auto of_weight = torch::autograd::grad({linear(layer, x.detach()).sum()}, {layer->weight});
  EXPECT_TRUE(at::allclose(of_weight[0], x.detach().sum(0).expand({kOut, kIn}), 1e-4, 1e-4));
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(linear(layer, x).equal(at::linear(x, layer->weight, layer->bias)));
}

TEST(LinearTest, SumOfRowsIsTheSumOfAll) {
  for (const std::vector<std::int64_t>& rows : kRows) {
    std::vector<std::int64_t> shape = rows;
    shape.push_back(48);
    const at::Tensor x = at::randint(-9, 10, shape, at::kFloat);  // sums are exact
    EXPECT_TRUE(sum_of_rows(x).equal(x.reshape({-1, 48}).sum(0))) << at::IntArrayRef(shape);
  }
}

}  // namespace
}  // namespace crescendo
