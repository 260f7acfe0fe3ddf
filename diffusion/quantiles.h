#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <numbers>
#include <span>

#include <ATen/core/Tensor.h>

namespace crescendo::diffusion {

// What the formulations with continuous noise levels share.

/// The places of their axis (diffusion/noise_process.h).
inline constexpr std::int64_t kPlaces = std::int64_t{1} << 32;

/// The middle of each place as a share of the axis, in (0, 1): float64, [N], CPU.
at::Tensor shares_of(std::span<const std::int64_t> places);

/// The standard normal distribution function, and its inverse: -inf of 0, inf of 1.
inline double normal_cdf(double z) { return std::erfc(-z / std::numbers::sqrt2) / 2; }
at::Tensor normal_quantile(const at::Tensor& shares);
double normal_quantile(double share);

/// f of each level: float64, [N], CPU.
at::Tensor of_levels(const at::Tensor& levels, const std::function<double(double)>& f);

/// The same as `like`, and shaped [N,1,...] to multiply it.
at::Tensor factors(const at::Tensor& levels, const at::Tensor& like,
                   const std::function<double(double)>& f);

}  // namespace crescendo::diffusion
