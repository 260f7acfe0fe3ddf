#include "core/convolution.h"

#include <algorithm>
#include <array>
#include <optional>

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <ATen/autocast_mode.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/cpu_kernels.h"
#include "core/image_format.h"
#include "core/linear.h"
#include "core/parallel_for.h"
#include "core/winograd_kernel.h"

namespace crescendo {

CRESCENDO_RUNNABLE_KERNELS(winograd_kernels, WinogradKernel, kWinograd)

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

/// Tiles whose transforms stay in a core's cache while they are multiplied.
constexpr std::int64_t kBlock = 96;
/// Of the weights' gradient, where threads wait for each other after each block.
constexpr std::int64_t kGradientBlock = 192;

/// Up to so many tiles the weights are more than the images, and stay in the cache instead: those
/// of some channels out at a time.
constexpr std::int64_t kFewTiles = 128;
constexpr std::int64_t kPanel = 64;  ///< channels at most

constexpr std::int64_t kGrain = 16;  // tiles or rows that are worth a thread

const WinogradKernel& kernel() { return *winograd_kernels().front(); }

WinogradImages shape_of(const at::Tensor& images) {
  return {images.size(0), images.size(2), images.size(3), images.size(1)};
}

/// Matrices, and the memory that holds them.
struct OwnMatrices {
  /// Without the step's padding a power of two would often part the points, which then fight for
  /// the same lines of a cache.
  OwnMatrices(std::int64_t rows, std::int64_t columns)
      : memory(at::empty({kWinogradPoints, rows * columns + kWinogradChannels}, at::kFloat)),
        matrices{memory.mutable_data_ptr<float>(), memory.stride(0), rows, columns} {}

  at::Tensor memory;
  WinogradMatrices matrices;
};

WinogradWeights strided(const at::Tensor& weight) {
  // Also what is only read: the kernel has one type for both.
  return {const_cast<float*>(weight.const_data_ptr<float>()),  // NOLINT(*-const-cast)
          weight.stride(0), weight.stride(1), weight.stride(2), weight.stride(3)};
}

/// Of the convolution that takes the outputs' gradient to the inputs': turned by half a turn, and
/// out and in exchanged.
WinogradWeights transposed(const WinogradWeights& weights) {
  return {weights.data + 2 * weights.row_step + 2 * weights.column_step, weights.in_step,
          weights.out_step, -weights.row_step, -weights.column_step};
}

/// What is convolved: images [tiles, in] with weights [in, out].
struct Convolution {
  const at::Tensor& x;
  WinogradWeights weights;
  std::int64_t out = 0;
  WinogradAddends addends = {};

  WinogradImages shape() const { return shape_of(x); }
  std::int64_t in() const { return x.size(1); }
  const float* images() const { return x.const_data_ptr<float>(); }
};

/// Channels out of a panel, such that no thread is without one.
std::int64_t panel_width(std::int64_t out) {
  const auto ceiling = [](std::int64_t a, std::int64_t b) { return (a + b - 1) / b; };
  const std::int64_t share = ceiling(out, at::get_num_threads());
  return std::min(kPanel, ceiling(share, kWinogradChannels) * kWinogradChannels);
}

void convolve_few_tiles(const Convolution& all, const WinogradImages& to_shape, float* to) {
  const TileRange tiles{0, to_shape.tiles()};
  const OwnMatrices inputs(tiles.count(), all.in());
  parallel_for(tiles.count(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel().transform_input(all.shape(), all.images(), {begin, end},
                             inputs.matrices.rows_from(begin, end - begin));
  });
  const std::int64_t width = panel_width(all.out);
  parallel_for((all.out + width - 1) / width, 1, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t panel = begin; panel < end; ++panel) {
      const std::int64_t first = panel * width;
      const std::int64_t columns = std::min(width, all.out - first);
      const OwnMatrices weights(all.in(), columns);
      const OwnMatrices outputs(tiles.count(), columns);
      WinogradWeights of_panel = all.weights;
      of_panel.data += first * of_panel.out_step;
      kernel().transform_weights(of_panel, {0, all.in()}, weights.matrices);
      for (std::int64_t point = 0; point < kWinogradPoints; ++point) {
        kernel().multiply(inputs.matrices, weights.matrices, outputs.matrices, point);
      }
      WinogradAddends addends = all.addends;
      if (addends.bias != nullptr) addends.bias += first;
      if (addends.images != nullptr) addends.images += first;
      kernel().transform_output(to_shape, outputs.matrices, addends, tiles, to + first);
    }
  });
}

void convolve_many_tiles(const Convolution& all, const WinogradImages& to_shape, float* to) {
  const OwnMatrices weights(all.in(), all.out);
  parallel_for(all.in(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel().transform_weights(all.weights, {begin, end}, weights.matrices);
  });
  parallel_for(to_shape.tiles(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    const OwnMatrices inputs(kBlock, all.in());
    const OwnMatrices outputs(kBlock, all.out);
    for (TileRange tiles{begin, begin}; tiles.begin < end; tiles.begin = tiles.end) {
      tiles.end = std::min(tiles.begin + kBlock, end);
      const WinogradMatrices input = inputs.matrices.rows_from(0, tiles.count());
      const WinogradMatrices output = outputs.matrices.rows_from(0, tiles.count());
      kernel().transform_input(all.shape(), all.images(), tiles, input);
      for (std::int64_t point = 0; point < kWinogradPoints; ++point) {
        kernel().multiply(input, weights.matrices, output, point);
      }
      kernel().transform_output(to_shape, output, all.addends, tiles, to);
    }
  });
}

at::Tensor convolve_images(const Convolution& all) {
  at::Tensor images = at::empty({all.x.size(0), all.out, all.x.size(2), all.x.size(3)},
                                all.x.options().memory_format(at::MemoryFormat::ChannelsLast));
  const WinogradImages shape = shape_of(images);
  const auto convolve = shape.tiles() <= kFewTiles ? convolve_few_tiles : convolve_many_tiles;
  convolve(all, shape, images.mutable_data_ptr<float>());
  return images;
}

/// sums (+)= transpose(inputs) gradients, for all points; threads share the rows of all.
void multiply_transposed(const WinogradMatrices& inputs, const WinogradMatrices& gradients,
                         const WinogradMatrices& sums, bool adds) {
  parallel_for(kWinogradPoints * sums.rows, kGrain, [&](std::int64_t begin, std::int64_t end) {
    while (begin < end) {
      const std::int64_t row = begin % sums.rows;
      const RowRange rows{row, std::min(row + end - begin, sums.rows)};
      kernel().multiply_transposed(inputs, gradients, sums, begin / sums.rows, rows, adds);
      begin += rows.end - rows.begin;
    }
  });
}

/// Adds those of the matrix at a point to `sums`.
void add_rows(const WinogradMatrices& matrices, std::int64_t point, float* sums) {
  for (std::int64_t row = 0; row < matrices.rows; ++row) {
    const float* const numbers = matrices.point(point) + row * matrices.columns;
    for (std::int64_t column = 0; column < matrices.columns; ++column) {
      sums[column] += numbers[column];
    }
  }
}

struct FilterGradients {
  at::Tensor weight;
  at::Tensor bias;
};

/// One block of tiles after the other, so that the order of what is summed is the same for any
/// number of threads. The bias's is the sum of the gradient, which its tiles' transforms have.
FilterGradients filter_gradients(const at::Tensor& x, const at::Tensor& grad,
                                 const at::Tensor& weight) {
  const FilterGradients to{at::empty_like(weight), at::zeros({grad.size(1)}, grad.options())};
  const std::int64_t tile_count = shape_of(x).tiles();
  const OwnMatrices sums(x.size(1), grad.size(1));
  const std::int64_t block = std::min(kGradientBlock, tile_count);
  const OwnMatrices inputs(block, x.size(1));
  const OwnMatrices gradients(block, grad.size(1));
  const auto* of_x = x.const_data_ptr<float>();
  const auto* of_grad = grad.const_data_ptr<float>();
  for (std::int64_t first = 0; first < tile_count; first += block) {
    const std::int64_t count = std::min(block, tile_count - first);
    parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
      const TileRange tiles{first + begin, first + end};
      kernel().transform_input(shape_of(x), of_x, tiles,
                               inputs.matrices.rows_from(begin, end - begin));
      kernel().transform_gradient(shape_of(grad), of_grad, tiles,
                                  gradients.matrices.rows_from(begin, end - begin));
    });
    const WinogradMatrices of_block = gradients.matrices.rows_from(0, count);
    multiply_transposed(inputs.matrices.rows_from(0, count), of_block, sums.matrices, first > 0);
    add_rows(of_block, kWinogradSum, to.bias.mutable_data_ptr<float>());
  }
  const WinogradWeights strides = strided(to.weight);
  parallel_for(x.size(1), kGrain, [&](std::int64_t begin, std::int64_t end) {
    kernel().transform_weight_gradient(sums.matrices, {begin, end}, strides);
  });
  return to;
}

struct WinogradConvolution : torch::autograd::Function<WinogradConvolution> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x, const at::Tensor& weight,
                            const std::optional<at::Tensor>& bias,
                            const std::optional<at::Tensor>& added) {
    context->save_for_backward({x, weight});
    context->saved_data["bias"] = bias.has_value();
    context->saved_data["added"] = added.has_value();
    const auto numbers = [](const std::optional<at::Tensor>& tensor) {
      return tensor ? tensor->const_data_ptr<float>() : nullptr;
    };
    return convolve_images({.x = x,
                            .weights = strided(weight),
                            .out = weight.size(0),
                            .addends = {.bias = numbers(bias), .images = numbers(added)}});
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const tensor_list saved = context->get_saved_variables();
    const at::Tensor& x = saved[0];
    const at::Tensor& weight = saved[1];
    const at::Tensor grad = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    tensor_list of_inputs(4);
    if (context->needs_input_grad(0)) {
      of_inputs[0] = convolve_images(
          {.x = grad, .weights = transposed(strided(weight)), .out = weight.size(1)});
    }
    // Counted without those that are not there.
    const bool has_bias = context->saved_data["bias"].toBool();
    const bool has_added = context->saved_data["added"].toBool();
    const bool of_weight = context->needs_input_grad(1);
    const bool of_bias = has_bias && context->needs_input_grad(2);
    if (of_weight) {
      const FilterGradients of_filters = filter_gradients(x, grad, weight);
      of_inputs[1] = of_filters.weight;
      if (of_bias) of_inputs[2] = of_filters.bias;
    } else if (of_bias) {
      of_inputs[2] = grad.sum({0, 2, 3});
    }
    if (has_added && context->needs_input_grad(has_bias ? 3 : 2)) of_inputs[3] = grad;
    return of_inputs;
  }
};

/// A convolution of that side whose output is as large as what it is given.
bool is_same(const torch::nn::Conv2d& conv, std::int64_t side) {
  using Pair = std::array<std::int64_t, 2>;
  const auto& options = conv->options;
  const auto* padding = std::get_if<torch::ExpandingArray<2>>(&options.padding());
  return *options.kernel_size() == Pair{side, side} && *options.stride() == Pair{1, 1} &&
         *options.dilation() == Pair{1, 1} && padding != nullptr &&
         **padding == Pair{(side - 1) / 2, (side - 1) / 2} && options.groups() == 1;
}

bool suits_winograd(const torch::nn::Conv2d& conv) {
  return is_same(conv, 3) && conv->options.in_channels() % kWinogradChannels == 0 &&
         conv->options.out_channels() % kWinogradChannels == 0;
}

/// oneDNN's backward pass takes longer than that of rows in parts.
at::Tensor convolve_pixels(const torch::nn::Conv2d& conv, const at::Tensor& x) {
  return linear(x.permute({0, 2, 3, 1}), conv->weight.flatten(1), conv->bias).permute({0, 3, 1, 2});
}

}  // namespace

at::Tensor convolve(torch::nn::Conv2d& conv, const at::Tensor& x, const at::Tensor& added) {
  const auto is_float = [](const at::Tensor& tensor) {
    return !tensor.defined() || tensor.scalar_type() == at::kFloat;
  };
  const bool suits = suits_kernels(x) && is_float(x) && is_float(conv->weight) && is_float(added) &&
                     !at::autocast::is_autocast_enabled(at::kCPU);
  if (!suits || !suits_winograd(conv)) {
    const at::Tensor convolved = suits && is_same(conv, 1) ? convolve_pixels(conv, x) : conv(x);
    return added.defined() ? added + convolved : convolved;
  }
  const auto given = [](const at::Tensor& tensor) {
    return tensor.defined() ? std::optional(tensor) : std::nullopt;
  };
  const at::Tensor images =
      added.defined() ? added.contiguous(at::MemoryFormat::ChannelsLast) : added;
  return WinogradConvolution::apply(x, conv->weight, given(conv->bias), given(images));
}

}  // namespace crescendo
