#include "core/cpu_matmul.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

namespace crescendo {
namespace {

TEST(CpuMatmulTest, ProductsStayFloat32) {
  choose_cpu_matmul();
  at::manual_seed(1);
  for (const std::int64_t size : {8, 64, 300}) {
    const at::Tensor left = at::randn({size, 128});
    const at::Tensor right = at::randn({128, size});
    const at::Tensor exact = at::mm(left.to(at::kDouble), right.to(at::kDouble));
    const double error = (at::mm(left, right) - exact).abs().max().item<double>();
    EXPECT_LT(error, 1e-5 * exact.abs().max().item<double>()) << size;
  }
}

}  // namespace
}  // namespace crescendo
