#include "core/convolution.h"

#include <algorithm>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/winograd_kernel.h"

namespace crescendo {
namespace {

struct Case {
  std::int64_t samples, in, out, height, width;
  std::int64_t side = 3;  ///< of the filters
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.samples << "x" << c.in << "x" << c.height << "x" << c.width << " to " << c.out
             << " by " << c.side;
}

/// Panels of columns of every width, tiles over the edge, blocks that are full and not; pixels in
/// parts and not.
const std::vector<Case> kCases{{2, 64, 64, 16, 16},   {3, 16, 48, 9, 7},      {9, 32, 144, 5, 6},
                               {32, 256, 96, 4, 4},   {1, 80, 320, 16, 17},   {64, 16, 16, 1, 2},
                               {1, 128, 112, 33, 31}, {8, 48, 80, 16, 16, 1}, {2, 3, 5, 7, 6, 1}};

torch::nn::Conv2d conv_of(const Case& c, at::ScalarType dtype, bool bias = true) {
  torch::nn::Conv2d conv(
      torch::nn::Conv2dOptions(c.in, c.out, c.side).padding((c.side - 1) / 2).bias(bias));
  conv->to(dtype);
  return conv;
}

/// The output and the gradients of x, weight, bias and, if there is any, what is added; the
/// convolution in the type of `conv`.
std::vector<at::Tensor> results(torch::nn::Conv2d& conv, const at::Tensor& x,
                                const at::Tensor& grad, const at::Tensor& added = {}) {
  std::vector<at::Tensor> leaves{x.detach().requires_grad_(), conv->weight, conv->bias};
  if (added.defined()) leaves.push_back(added.detach().requires_grad_());
  const at::Tensor output = convolve(conv, leaves[0], added.defined() ? leaves[3] : added);
  std::vector<at::Tensor> all = torch::autograd::grad({output}, leaves, {grad});
  all.insert(all.begin(), output.detach());
  return all;
}

TEST(ConvolutionTest, EqualsAtensInFloat64AndSoDoItsGradients) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c);
    at::manual_seed(7);
    const at::Tensor x = at::randn({c.samples, c.in, c.height, c.width}, at::kDouble);
    const at::Tensor grad = at::randn({c.samples, c.out, c.height, c.width}, at::kDouble);
    const at::Tensor added = at::randn_like(grad);
    torch::nn::Conv2d exact = conv_of(c, at::kDouble);
    torch::nn::Conv2d conv = conv_of(c, at::kFloat);
    for (const char* name : {"weight", "bias"}) {
      const at::NoGradGuard no_grad;
      conv->named_parameters()[name].copy_(exact->named_parameters()[name]);
    }
    const auto images = [](const at::Tensor& tensor) {
      return tensor.to(at::kFloat).contiguous(at::MemoryFormat::ChannelsLast);
    };
    const auto expected = results(exact, x, grad, added);
    // Also what is added with its channels first.
    const auto found = results(conv, images(x), images(grad), added.to(at::kFloat));
    ASSERT_EQ(found.size(), expected.size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      const double scale = std::max(1.0, expected[i].abs().max().item<double>());
      EXPECT_LT((found[i] - expected[i]).abs().max().item<double>() / scale, 2e-6) << i;
    }
  }
}

TEST(ConvolutionTest, EveryKernelOfTheCpuConvolves) {
  const Case c{2, 48, 80, 7, 10};
  const at::Tensor x =
      at::randn({c.samples, c.in, c.height, c.width}).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor grad =
      at::randn({c.samples, c.out, c.height, c.width}).contiguous(at::MemoryFormat::ChannelsLast);
  const at::Tensor weight = at::randn({c.out, c.in, 3, 3});
  const at::Tensor exact = weight.to(at::kDouble).requires_grad_();
  const at::Tensor expected = at::conv2d(x.to(at::kDouble), exact, {}, 1, 1);
  const at::Tensor expected_gradient =
      torch::autograd::grad({expected}, {exact}, {grad.to(at::kDouble)})[0];
  const WinogradImages from{c.samples, c.height, c.width, c.in};
  const WinogradImages to{c.samples, c.height, c.width, c.out};
  const TileRange tiles{0, from.tiles()};
  const auto matrices = [](std::int64_t rows, std::int64_t columns) {
    return at::empty({kWinogradPoints, rows, columns});
  };
  const auto view = [](const at::Tensor& points) {
    return WinogradMatrices{points.mutable_data_ptr<float>(), points.stride(0), points.size(1),
                            points.size(2)};
  };
  const auto strided = [](const at::Tensor& filters) {
    return WinogradWeights{filters.mutable_data_ptr<float>(), filters.stride(0), filters.stride(1),
                           filters.stride(2), filters.stride(3)};
  };
  for (const WinogradKernel* kernel : winograd_kernels()) {
    const at::Tensor weights = matrices(c.in, c.out);
    const at::Tensor inputs = matrices(tiles.count(), c.in);
    const at::Tensor outputs = matrices(tiles.count(), c.out);
    at::Tensor found = at::empty_like(expected, at::kFloat);
    kernel->transform_weights(strided(weight), {0, c.in}, view(weights));
    kernel->transform_input(from, x.const_data_ptr<float>(), tiles, view(inputs));
    for (std::int64_t point = 0; point < kWinogradPoints; ++point) {
      kernel->multiply(view(inputs), view(weights), view(outputs), point);
    }
    kernel->transform_output(to, view(outputs), {}, tiles, found.mutable_data_ptr<float>());
    EXPECT_LT((found - expected).abs().max().item<double>(), 2e-4);

    const at::Tensor gradients = matrices(tiles.count(), c.out);
    kernel->transform_gradient(to, grad.const_data_ptr<float>(), tiles, view(gradients));
    for (std::int64_t point = 0; point < kWinogradPoints; ++point) {
      kernel->multiply_transposed(view(inputs), view(gradients), view(weights), point, {0, c.in},
                                  /*adds=*/false);
    }
    const at::Tensor gradient = at::empty_like(weight);
    kernel->transform_weight_gradient(view(weights), {0, c.in}, strided(gradient));
    EXPECT_LT((gradient - expected_gradient).abs().max().item<double>(), 2e-4);
    EXPECT_LT((gradients[kWinogradSum].sum(0) - grad.sum({0, 2, 3})).abs().max().item<double>(),
              2e-4);
  }
}

/// Of any layout of the weights, such as those of a model that draws.
TEST(ConvolutionTest, LayoutOfTheWeightsDoesNotMatter) {
  torch::nn::Conv2d conv = conv_of({1, 32, 48, 16, 16}, at::kFloat);
  const at::Tensor x = at::randn({1, 32, 16, 16}).contiguous(at::MemoryFormat::ChannelsLast);
  const at::NoGradGuard no_grad;
  const at::Tensor expected = convolve(conv, x);
  conv->weight.set_data(conv->weight.contiguous(at::MemoryFormat::ChannelsLast));
  EXPECT_TRUE(convolve(conv, x).equal(expected));
}

TEST(ConvolutionTest, SampleDoesNotDependOnItsBatch) {
  const at::NoGradGuard no_grad;
  for (const std::int64_t side : {4, 16}) {
    torch::nn::Conv2d conv = conv_of({1, 32, 48, side, side}, at::kFloat);
    const at::Tensor x = at::randn({21, 32, side, side}).contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor all = convolve(conv, x);
    for (const std::int64_t count : {1, 20}) {
      EXPECT_TRUE(convolve(conv, x.slice(0, 0, count)).equal(all.slice(0, 0, count))) << side;
    }
  }
}

TEST(ConvolutionTest, NumberOfThreadsDoesNotMatter) {
  for (const std::int64_t side : {4, 16}) {
    torch::nn::Conv2d conv = conv_of({8, 32, 80, side, side}, at::kFloat);
    const at::Tensor x = at::randn({8, 32, side, side}).contiguous(at::MemoryFormat::ChannelsLast);
    const at::Tensor grad =
        at::randn({8, 80, side, side}).contiguous(at::MemoryFormat::ChannelsLast);
    const int threads = at::get_num_threads();
    at::set_num_threads(1);
    const auto expected = results(conv, x, grad);
    at::set_num_threads(3);
    const auto found = results(conv, x, grad);
    at::set_num_threads(threads);
    for (const std::size_t i : {0, 1, 2}) EXPECT_TRUE(found[i].equal(expected[i])) << side << i;
  }
}

TEST(ConvolutionTest, BiasLearnsWhereTheWeightIsFrozen) {
  torch::nn::Conv2d conv = conv_of({2, 16, 32, 8, 8}, at::kFloat);
  conv->weight.set_requires_grad(false);
  const at::Tensor x = at::randn({2, 16, 8, 8}).contiguous(at::MemoryFormat::ChannelsLast);
  convolve(conv, x).sum().backward();
  EXPECT_TRUE(conv->bias.grad().equal(at::full({32}, 128.0F)));
  EXPECT_FALSE(conv->weight.grad().defined());
}

/// What the kernel has no form of goes through ATen, and a frozen weight asks for no gradient.
TEST(ConvolutionTest, OtherConvolutionsAreAtens) {
  const at::Tensor x = at::randn({2, 16, 16, 16}).contiguous(at::MemoryFormat::ChannelsLast);
  using Options = torch::nn::Conv2dOptions;
  for (const auto& options :
       {Options(16, 20, 3).padding(1), Options(16, 16, 3).padding(1).stride(2), Options(16, 16, 3),
        Options(16, 16, 1).stride(2), Options(16, 16, 3).padding(2).dilation(2),
        Options(16, 16, 3).padding(1).groups(2), Options(16, 16, 3).padding(torch::kSame)}) {
    torch::nn::Conv2d conv(options);
    EXPECT_TRUE(convolve(conv, x).equal(conv(x)));
    EXPECT_TRUE(convolve(conv, x, conv(x)).equal(conv(x) + conv(x)));
  }
  torch::nn::Conv2d frozen = conv_of({2, 16, 16, 16, 16}, at::kFloat, /*bias=*/false);
  frozen->weight.set_requires_grad(false);
  const at::Tensor leaf = x.clone().requires_grad_();
  const at::Tensor added = x.clone().requires_grad_();
  convolve(frozen, leaf, added).sum().backward();
  EXPECT_TRUE(added.grad().equal(at::ones_like(x)));
  const at::Tensor found = leaf.grad().clone();
  leaf.mutable_grad().zero_();
  frozen(leaf).sum().backward();
  EXPECT_TRUE(at::allclose(found, leaf.grad(), 1e-5, 1e-5));
}

}  // namespace
}  // namespace crescendo
