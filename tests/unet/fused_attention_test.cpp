#include "unet/fused_attention.h"

#include <array>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/autocast.h"
#include "unet/attention.h"

namespace crescendo::unet {
namespace {

struct Case {
  std::int64_t samples, queries, keys, heads, width;
  bool biased;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.samples << " samples, " << c.queries << " queries, " << c.keys << " keys, "
             << c.heads << " heads of " << c.width << (c.biased ? ", biased" : "");
}

/// Blocks of lanes that are full and not, tiles of rows and columns that are full and not, heads
/// narrower and wider than vectors.
const std::vector<Case> kCases{{1, 1, 1, 1, 1, false},   {2, 16, 16, 2, 8, false},
                               {2, 33, 77, 3, 5, true},  {1, 64, 9, 1, 40, true},
                               {3, 100, 31, 2, 6, true}, {1, 257, 129, 1, 64, false},
                               {2, 300, 9, 2, 4, true}};

/// Query, key, value, grad of the output, bias; in float64.
std::array<at::Tensor, 5> inputs_of(const Case& c) {
  at::manual_seed(7);
  const auto options = at::TensorOptions().dtype(at::kDouble);
  const std::int64_t channels = c.heads * c.width;
  return {2 * at::randn({c.samples, c.queries, channels}, options),
          2 * at::randn({c.samples, c.keys, channels}, options),
          at::randn({c.samples, c.keys, channels}, options),
          at::randn({c.samples, c.queries, channels}, options),
          c.biased ? at::randn({c.samples, 1, 1, c.keys}, options) : at::Tensor()};
}

/// Output and the gradients of query, key and value, by `attend`.
std::vector<at::Tensor> results(const std::array<at::Tensor, 5>& inputs, at::ScalarType dtype,
                                const auto& attend) {
  std::vector<at::Tensor> leaves;
  for (int i = 0; i < 3; ++i) leaves.push_back(inputs[i].to(dtype).requires_grad_());
  const at::Tensor bias = inputs[4].defined() ? inputs[4].to(dtype) : at::Tensor();
  const at::Tensor output = attend(leaves[0], leaves[1], leaves[2], bias);
  std::vector<at::Tensor> all = torch::autograd::grad({output}, leaves, {inputs[3].to(dtype)});
  all.insert(all.begin(), output.detach());
  return all;
}

/// By ATen in float64, which no kernel of ours takes.
std::vector<at::Tensor> formula_results(const std::array<at::Tensor, 5>& inputs,
                                        std::int64_t heads) {
  return results(inputs, at::kDouble, [&](const auto&... of) {
    const auto& [query, key, value, bias] = std::tie(of...);
    return multi_head_attention(query, key, value, heads, bias);
  });
}

void expect_of_all_kernels(const std::array<at::Tensor, 5>& inputs, std::int64_t heads,
                           const std::vector<at::Tensor>& expected) {
  for (const AttentionKernel* kernel : attention_kernels()) {
    SCOPED_TRACE(testing::Message() << kernel->lanes << " lanes");
    const auto found = results(inputs, at::kFloat, [&](const auto&... of) {
      const auto& [query, key, value, bias] = std::tie(of...);
      return fused_attention(query, key, value, heads, bias, *kernel);
    });
    for (std::size_t i = 0; i < found.size(); ++i) {
      const double scale = std::max(1.0, expected[i].abs().max().item<double>());
      EXPECT_LT((found[i] - expected[i]).abs().max().item<double>() / scale, 2e-6) << i;
    }
  }
}

TEST(FusedAttentionTest, EqualsTheFormulaInFloat64AndSoDoItsGradients) {
  for (const Case& c : kCases) {
    SCOPED_TRACE(testing::Message() << c);
    const auto inputs = inputs_of(c);
    expect_of_all_kernels(inputs, c.heads, formula_results(inputs, c.heads));
  }
}

TEST(FusedAttentionTest, LargeScoresOverflowNothing) {
  for (const AttentionKernel* kernel : attention_kernels()) {
    const at::Tensor query = at::full({1, 3, 4}, 200.0F);
    const at::Tensor key = at::stack({at::full({4}, 200.0F), at::full({4}, -200.0F)}).unsqueeze(0);
    const at::Tensor value = at::stack({at::ones({4}), at::zeros({4})}).unsqueeze(0);
    EXPECT_TRUE(
        at::allclose(fused_attention(query, key, value, 1, {}, *kernel), at::ones({1, 3, 4})));
    // What hides a key from diffusers' models.
    const at::Tensor bias = at::tensor({-10000.0F, 0.0F}).view({1, 1, 1, 2});
    EXPECT_TRUE(at::allclose(fused_attention(at::zeros({1, 3, 4}), key, value, 1, bias, *kernel),
                             at::zeros({1, 3, 4})));
  }
}

TEST(FusedAttentionTest, KeysThatAreAllHiddenWeighWhatTheyDoUnhidden) {
  const Case c{2, 33, 5, 2, 4, false};
  auto inputs = inputs_of(c);
  // Scores are multiples of 1/2, which a sum with -10000 keeps.
  for (int i = 0; i < 2; ++i) inputs[i] = inputs[i].round();
  const auto expected = formula_results(inputs, c.heads);
  inputs[4] = at::full({c.samples, 1, 1, c.keys}, -10000.0);
  expect_of_all_kernels(inputs, c.heads, expected);
}

TEST(FusedAttentionTest, DoesNotDependOnTheThreads) {
  if (attention_kernels().empty()) GTEST_SKIP() << "no kernel for this CPU";
  const Case c{3, 100, 31, 2, 6, true};
  const auto run = [&](int threads) {
    at::set_num_threads(threads);
    return results(inputs_of(c), at::kFloat, [&](const auto&... of) {
      const auto& [query, key, value, bias] = std::tie(of...);
      return fused_attention(query, key, value, c.heads, bias, *attention_kernels().front());
    });
  };
  const int threads = at::get_num_threads();
  const auto one = run(1);
  const auto three = run(3);
  at::set_num_threads(threads);
  for (std::size_t i = 0; i < one.size(); ++i) EXPECT_TRUE(at::equal(one[i], three[i])) << i;
}

TEST(FusedAttentionTest, MixedPrecisionIsComputedInFloat32) {
  if (attention_kernels().empty()) GTEST_SKIP() << "no kernel for this CPU";
  const AutocastGuard autocast({.enabled = true, .dtype = at::kBFloat16});
  const Case c{2, 33, 77, 3, 8, false};
  const auto attend = [&](const auto&... of) {
    const auto& [query, key, value, bias] = std::tie(of...);
    EXPECT_NE(kernel_for(query, key, value, bias), nullptr);
    return multi_head_attention(query, key, value, c.heads, bias);
  };
  auto inputs = inputs_of(c);
  for (int i = 0; i < 4; ++i) inputs[i] = inputs[i].to(at::kBFloat16);
  const auto expected = results(inputs, at::kFloat, attend);
  const auto found = results(inputs, at::kBFloat16, attend);
  for (std::size_t i = 0; i < found.size(); ++i) {
    EXPECT_EQ(found[i].scalar_type(), at::kBFloat16);
    EXPECT_TRUE(found[i].equal(expected[i].to(at::kBFloat16))) << i;
  }
}

TEST(FusedAttentionTest, LeavesToAtenWhatIsNotPlain) {
  const at::Tensor rows = at::randn({1, 4, 8});
  EXPECT_EQ(kernel_for(rows, rows, rows, {}) == nullptr, attention_kernels().empty());
  const at::Tensor half = rows.to(at::kBFloat16);
  EXPECT_EQ(kernel_for(half, half, half, {}), nullptr);
  EXPECT_EQ(kernel_for(rows, rows, rows, at::zeros({1, 1, 1, 4}).requires_grad_()), nullptr);
}

}  // namespace
}  // namespace crescendo::unet
