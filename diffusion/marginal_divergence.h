#pragma once

#include <cstdint>

#include <ATen/core/Tensor.h>

#include "diffusion/noise_schedule.h"

namespace crescendo::diffusion {

/// An estimate with its standard error.
struct Estimate {
  double mean = 0;
  double standard_error = 0;
};

/// The relative entropy D_KL(p_{t-1} || p_t) in nats, between the marginals of two consecutive
/// timesteps, which are larger where denoising is harder (Kim et al., arXiv 2403.10348).
///
/// p_t is the mixture over M data points x_j of N(sqrt(a_t) x_j, (1 - a_t) I): exact for a data set
/// of these points, and an approximation of the distribution that they are drawn from, which is
/// coarse where the noise is smaller than the distance between neighbours. Each row of `noise`, and
/// the data point in the same place of `chosen`, make a draw x ~ p_{t-1} that gives
/// log r(x), r = p_{t-1} / p_t, whose mean is the estimate. Where that is below half a nat, 1/r - 1
/// is added, whose mean is zero: every term is then positive and they scatter far less. Not above,
/// where too few draws would see the rare large 1/r. The standard error is that of the draws, not
/// of the choice of data.
///
/// data: [M,...]; chosen: [K], int64, uniform in [0, M); noise: [K, D], standard normal; all on the
/// CPU. 1 <= t < T. Computed in float64, in O(K M D).
Estimate marginal_divergence(const NoiseSchedule& schedule, const at::Tensor& data, std::int64_t t,
                             const at::Tensor& chosen, const at::Tensor& noise);

}  // namespace crescendo::diffusion
