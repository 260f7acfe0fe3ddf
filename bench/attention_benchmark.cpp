// Attention of U-Nets by ATen and by unet/fused_attention.h, in turns:
//
//   OMP_NUM_THREADS=1 bench_attention --benchmark_enable_random_interleaving=true

#include <benchmark/benchmark.h>

#include <ATen/Functions.h>
#include <torch/csrc/autograd/autograd.h>

#include "unet/attention.h"

namespace crescendo::unet {

namespace {

/// Of query, key, value: [N, S or L, heads * width].
using Attend = at::Tensor (*)(const at::Tensor&, const at::Tensor&, const at::Tensor&,
                              std::int64_t heads, const at::Tensor& bias);

at::Tensor rows_of(const benchmark::State& state, std::int64_t count) {
  return at::randn({state.range(0), count, state.range(1) * state.range(4)});
}

void forward(benchmark::State& state, Attend attend) {
  const at::NoGradGuard no_grad;
  const at::Tensor query = rows_of(state, state.range(2));
  const at::Tensor key = rows_of(state, state.range(3));
  for ([[maybe_unused]] const auto iteration : state) attend(query, key, key, state.range(1), {});
}

void forward_and_backward(benchmark::State& state, Attend attend) {
  const at::Tensor query = rows_of(state, state.range(2)).requires_grad_();
  const at::Tensor key = rows_of(state, state.range(3)).requires_grad_();
  const at::Tensor value = rows_of(state, state.range(3)).requires_grad_();
  const at::Tensor grad = rows_of(state, state.range(2));
  for ([[maybe_unused]] const auto iteration : state) {
    const at::Tensor output = attend(query, key, value, state.range(1), {});
    torch::autograd::grad({output}, {query, key, value}, {grad});
  }
}

void shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"samples", "heads", "queries", "keys", "width"})
      ->Unit(benchmark::kMillisecond);
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{{16, 8, 256, 256, 4},
                                              {32, 8, 256, 256, 8},
                                              {32, 4, 256, 256, 16},
                                              {32, 1, 256, 256, 64},
                                              {8, 8, 1024, 1024, 40},
                                              {8, 8, 1024, 77, 40}}) {
    benchmark->Args(shape);
  }
}

BENCHMARK_CAPTURE(forward, aten, aten_attention)->Apply(shapes);
BENCHMARK_CAPTURE(forward, ours, multi_head_attention)->Apply(shapes);
BENCHMARK_CAPTURE(forward_and_backward, aten, aten_attention)->Apply(shapes);
BENCHMARK_CAPTURE(forward_and_backward, ours, multi_head_attention)->Apply(shapes);

}  // namespace

}  // namespace crescendo::unet
