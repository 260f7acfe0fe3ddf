// 3x3 convolutions of U-Nets and autoencoders by ATen and by core/convolution.h, in turns:
//
//   OMP_NUM_THREADS=1 bench_convolution --benchmark_enable_random_interleaving=true

#include <benchmark/benchmark.h>

#include <ATen/Functions.h>
#include <torch/csrc/autograd/autograd.h>

#include "core/convolution.h"

namespace crescendo {

namespace {

using Convolve = at::Tensor (*)(torch::nn::Conv2d&, const at::Tensor&);

at::Tensor aten(torch::nn::Conv2d& conv, const at::Tensor& x) { return conv(x); }
at::Tensor ours(torch::nn::Conv2d& conv, const at::Tensor& x) { return convolve(conv, x); }

torch::nn::Conv2d conv_of(const benchmark::State& state) {
  return torch::nn::Conv2d(torch::nn::Conv2dOptions(state.range(2), state.range(3), 3).padding(1));
}

at::Tensor images_of(const benchmark::State& state, std::int64_t channels) {
  return at::randn({state.range(0), channels, state.range(1), state.range(1)})
      .contiguous(at::MemoryFormat::ChannelsLast);
}

void forward(benchmark::State& state, Convolve convolve) {
  const at::NoGradGuard no_grad;
  torch::nn::Conv2d conv = conv_of(state);
  const at::Tensor x = images_of(state, state.range(2));
  for ([[maybe_unused]] const auto iteration : state) convolve(conv, x);
}

/// Of the input and of the weights.
void gradients(benchmark::State& state, Convolve convolve) {
  torch::nn::Conv2d conv = conv_of(state);
  const at::Tensor x = images_of(state, state.range(2)).requires_grad_();
  const at::Tensor grad = images_of(state, state.range(3));
  const at::Tensor y = convolve(conv, x);
  for ([[maybe_unused]] const auto iteration : state) {
    torch::autograd::grad({y}, {x, conv->weight}, {grad}, /*retain_graph=*/true);
  }
}

void shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"samples", "side", "in", "out"})->Unit(benchmark::kMillisecond);
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{{32, 16, 64, 64},
                                              {32, 8, 256, 128},
                                              {32, 4, 256, 256},
                                              {2, 64, 320, 320},
                                              {2, 8, 1280, 1280},
                                              {1, 64, 512, 512},
                                              {1, 256, 128, 128}}) {
    benchmark->Args(shape);
  }
}

BENCHMARK_CAPTURE(forward, aten, aten)->Apply(shapes);
BENCHMARK_CAPTURE(forward, ours, ours)->Apply(shapes);
BENCHMARK_CAPTURE(gradients, aten, aten)->Apply(shapes);
BENCHMARK_CAPTURE(gradients, ours, ours)->Apply(shapes);

}  // namespace

}  // namespace crescendo
