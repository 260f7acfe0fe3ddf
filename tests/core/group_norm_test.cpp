#include "core/group_norm.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

namespace crescendo {
namespace {

struct Case {
  std::int64_t samples, channels, groups, height, width;
  bool shifted;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.samples << "x" << c.channels << "x" << c.height << "x" << c.width << ", "
             << c.groups << " groups" << (c.shifted ? ", shifted" : "");
}

/// Blocks of channels that are full and not, groups that vectors cut, few samples and many.
const std::vector<Case> kCases{{2, 64, 32, 16, 16, true}, {1, 4, 2, 3, 5, false},
                               {3, 30, 3, 7, 2, true},    {1, 320, 32, 9, 9, false},
                               {2, 144, 16, 4, 4, true},  {1, 128, 1, 20, 20, false}};

/// x, shift, weight, bias, grad of the output; in float64, far from a mean of 0.
std::vector<at::Tensor> inputs_of(const Case& c) {
  at::manual_seed(7);
  const auto options = at::TensorOptions().dtype(at::kDouble);
  const std::vector<std::int64_t> shape{c.samples, c.channels, c.height, c.width};
  return {at::randn(shape, options) + 3,
          c.shifted ? at::randn({c.samples, c.channels}, options) : at::Tensor(),
          at::randn({c.channels}, options), at::randn({c.channels}, options),
          at::randn(shape, options)};
}

/// The output and the gradients of x, weight, bias and shift, in the inputs' `dtype` and `format`.
std::vector<at::Tensor> results(const Case& c, at::ScalarType dtype, at::MemoryFormat format,
                                bool silu) {
  const std::vector<at::Tensor> inputs = inputs_of(c);
  torch::nn::GroupNorm norm(torch::nn::GroupNormOptions(c.groups, c.channels));
  norm->weight = inputs[2].to(dtype).requires_grad_();
  norm->bias = inputs[3].to(dtype).requires_grad_();
  std::vector<at::Tensor> leaves{inputs[0].to(dtype).contiguous(format).requires_grad_(),
                                 norm->weight, norm->bias};
  at::Tensor shift;
  if (c.shifted && silu) leaves.push_back(shift = inputs[1].to(dtype).requires_grad_());
  const at::Tensor output =
      silu ? group_norm_silu(norm, leaves[0], shift) : group_norm(norm, leaves[0]);
  std::vector<at::Tensor> all = torch::autograd::grad({output}, leaves, {inputs[4].to(dtype)});
  all.insert(all.begin(), output.detach());
  return all;
}

TEST(GroupNormTest, EqualsTheFormulaInFloat64AndSoDoItsGradients) {
  for (const Case& c : kCases) {
    for (const bool silu : {true, false}) {
      SCOPED_TRACE(testing::Message() << c << (silu ? ", SiLU" : ""));
      // ATen's, since no kernel of ours takes float64.
      const auto expected = results(c, at::kDouble, at::MemoryFormat::Contiguous, silu);
      const auto found = results(c, at::kFloat, at::MemoryFormat::ChannelsLast, silu);
      ASSERT_EQ(found.size(), expected.size());
      for (std::size_t i = 0; i < found.size(); ++i) {
        const double scale = std::max(1.0, expected[i].abs().max().item<double>());
        EXPECT_LT((found[i] - expected[i]).abs().max().item<double>() / scale, 2e-6) << i;
      }
    }
  }
}

TEST(GroupNormTest, KeepsTheFormatOfTheImages) {
  torch::nn::GroupNorm norm(torch::nn::GroupNormOptions(2, 4));
  const at::Tensor x = at::randn({2, 4, 3, 5});
  const at::Tensor last = x.contiguous(at::MemoryFormat::ChannelsLast);
  EXPECT_TRUE(group_norm(norm, x).is_contiguous());
  EXPECT_TRUE(group_norm(norm, last).is_contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(at::allclose(group_norm(norm, x), group_norm(norm, last), 1e-5, 1e-6));
}

TEST(GroupNormTest, IsAsExactFarFromZeroAndOverManyPositions) {
  torch::nn::GroupNorm norm(torch::nn::GroupNormOptions(1, 16));
  at::manual_seed(7);
  const at::Tensor x = at::randn({1, 16, 512, 512}, at::kDouble) + 100;
  const at::Tensor expected = (x - x.mean()) / (x.var(/*unbiased=*/false) + 1e-5).sqrt();
  const at::Tensor found =
      group_norm(norm, x.to(at::kFloat).contiguous(at::MemoryFormat::ChannelsLast));
  // A float near 100 is known to 4e-6.
  EXPECT_LT((found - expected).abs().max().item<double>(), 2e-5);
}

TEST(GroupNormTest, DoesNotDependOnTheThreads) {
  const int threads = at::get_num_threads();
  const auto with = [&](int count) {
    at::set_num_threads(count);
    return results(kCases[3], at::kFloat, at::MemoryFormat::ChannelsLast, true);
  };
  const auto one = with(1);
  const auto three = with(3);
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], three[i])) << i;
}

TEST(GroupNormTest, TakesBfloat16ThroughFloat32) {
  torch::nn::GroupNorm norm(torch::nn::GroupNormOptions(4, 32));
  const at::Tensor x = at::randn({2, 32, 4, 4}).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor half = x.to(at::kBFloat16);
  const at::Tensor found = group_norm_silu(norm, half);
  EXPECT_EQ(found.scalar_type(), at::kBFloat16);
  EXPECT_TRUE(at::equal(found, group_norm_silu(norm, half.to(at::kFloat)).to(at::kBFloat16)));
}

}  // namespace
}  // namespace crescendo
