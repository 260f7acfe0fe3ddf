#include "core/group_norm.h"

#include <algorithm>
#include <optional>

#include <ATen/Functions.h>
#include <ATen/Parallel.h>
#include <torch/csrc/autograd/custom_function.h>

#include "core/cpu_kernels.h"
#include "core/group_norm_kernel.h"
#include "core/image_format.h"
#include "core/parallel_for.h"

namespace crescendo {

CRESCENDO_RUNNABLE_KERNELS(group_norm_kernels, GroupNormKernel, kGroupNorm)

namespace {

using torch::autograd::AutogradContext;
using torch::autograd::tensor_list;

constexpr std::int64_t kScratchArrays = 4;
constexpr std::int64_t kGrain = 16384;  // numbers that are worth a thread

/// What forward and backward pass know, with the channels last.
struct Normalisation {
  at::Tensor x, shift, weight, bias;
  at::Tensor moments;  ///< [2, N, groups]: mean, inverse of the standard deviation
  double eps = 0;
  bool silu = false;

  std::int64_t samples() const { return x.size(0); }
  std::int64_t channels() const { return x.size(1); }
  std::int64_t groups() const { return moments.size(2); }
  std::int64_t positions() const { return x.size(2) * x.size(3); }

  GroupNormSample sample(std::int64_t number) const {
    auto* mean = moments.mutable_data_ptr<float>() + number * groups();
    return {
        .x = x.const_data_ptr<float>() + number * positions() * channels(),
        .shift = shift.defined() ? shift.const_data_ptr<float>() + number * channels() : nullptr,
        .weight = weight.const_data_ptr<float>(),
        .bias = bias.const_data_ptr<float>(),
        .mean = mean,
        .inverse_std = mean + moments.stride(0),
        .positions = positions(),
        .channels = channels(),
        .groups = groups(),
        .eps = eps,
        .silu = silu};
  }

  /// Calls `work(sample, groups, scratch)` on all threads; few samples are shared by their groups.
  template <typename Work>
  void for_all(const Work& work) const {
    const std::int64_t threads = at::get_num_threads();
    const std::int64_t shares =
        std::clamp<std::int64_t>((threads + samples() - 1) / samples(), 1, groups());
    const std::int64_t numbers = std::max<std::int64_t>(positions() * channels() / shares, 1);
    const std::int64_t grain = std::max<std::int64_t>(kGrain / numbers, 1);
    parallel_for(samples() * shares, grain, [&](std::int64_t begin, std::int64_t end) {
      const at::Tensor scratch = at::empty({kScratchArrays * channels()}, at::kFloat);
      for (std::int64_t item = begin; item < end; ++item) {
        const std::int64_t share = item % shares;
        const GroupRange range{share * groups() / shares, (share + 1) * groups() / shares};
        work(item / shares, range, scratch.mutable_data_ptr<float>());
      }
    });
  }
};

struct FusedGroupNorm : torch::autograd::Function<FusedGroupNorm> {
  static at::Tensor forward(AutogradContext* context, const at::Tensor& x,
                            const std::optional<at::Tensor>& shift, const at::Tensor& weight,
                            const at::Tensor& bias, std::int64_t groups, double eps, bool silu) {
    const Normalisation all{x,
                            shift.value_or(at::Tensor()),
                            weight,
                            bias,
                            at::empty({2, x.size(0), groups}, x.options()),
                            eps,
                            silu};
    at::Tensor output = at::empty_like(x);
    auto* rows = output.mutable_data_ptr<float>();
    all.for_all([&](std::int64_t sample, GroupRange range, float* scratch) {
      group_norm_kernels().front()->forward(
          all.sample(sample), range, rows + sample * all.positions() * all.channels(), scratch);
    });
    context->save_for_backward({x, all.shift, weight, bias, all.moments});
    context->saved_data["eps"] = eps;
    context->saved_data["silu"] = silu;
    return output;
  }

  static tensor_list backward(AutogradContext* context, tensor_list gradients) {
    const tensor_list saved = context->get_saved_variables();
    const Normalisation all{saved[0],
                            saved[1],
                            saved[2],
                            saved[3],
                            saved[4],
                            context->saved_data["eps"].toDouble(),
                            context->saved_data["silu"].toBool()};
    const at::Tensor grad = gradients[0].contiguous(at::MemoryFormat::ChannelsLast);
    at::Tensor of_x = at::empty_like(all.x);
    // Of each sample, and summed afterwards: no thread adds to what another does.
    const at::Tensor by_channel =
        at::empty({3, all.samples(), all.channels()},
                  all.x.options().memory_format(at::MemoryFormat::Contiguous));
    const std::int64_t size = all.positions() * all.channels();
    auto* of_channels = by_channel.mutable_data_ptr<float>();
    all.for_all([&](std::int64_t sample, GroupRange range, float* scratch) {
      auto* own = of_channels + sample * all.channels();
      group_norm_kernels().front()->backward(all.sample(sample), range,
                                             {.grad = grad.const_data_ptr<float>() + sample * size,
                                              .x = of_x.mutable_data_ptr<float>() + sample * size,
                                              .shift = all.shift.defined() ? own : nullptr,
                                              .weight = own + by_channel.stride(0),
                                              .bias = own + 2 * by_channel.stride(0)},
                                             scratch);
    });
    return {of_x,
            all.shift.defined() ? by_channel[0] : at::Tensor(),
            by_channel[1].sum(0),
            by_channel[2].sum(0),
            {},
            {},
            {}};
  }
};

at::Tensor normalize(torch::nn::GroupNorm& norm, const at::Tensor& x, const at::Tensor& shift,
                     bool silu) {
  if (suits_kernels(x)) {
    std::optional<at::Tensor> given;
    if (shift.defined()) given = shift.to(at::kFloat).contiguous();
    return FusedGroupNorm::apply(x.to(at::kFloat), given, norm->weight.to(at::kFloat),
                                 norm->bias.to(at::kFloat), norm->options.num_groups(),
                                 norm->options.eps(), silu)
        .to(x.scalar_type());
  }
  const at::Tensor normed = norm(shift.defined() ? x + shift.unsqueeze(-1).unsqueeze(-1) : x);
  return silu ? at::silu(normed) : normed;
}

}  // namespace

at::Tensor group_norm_silu(torch::nn::GroupNorm& norm, const at::Tensor& x,
                           const at::Tensor& shift) {
  return normalize(norm, x, shift, /*silu=*/true);
}

at::Tensor group_norm(torch::nn::GroupNorm& norm, const at::Tensor& x) {
  return normalize(norm, x, {}, /*silu=*/false);
}

}  // namespace crescendo
