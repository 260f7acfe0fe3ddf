#include "diffusion/sigma_schedule.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "core/error.h"

namespace crescendo::diffusion {

namespace {

bool is_dpm(const SamplerOptions& options) { return options.sampler.starts_with("dpm++"); }

/// Of every timestep, rising. Without signal sigma would be infinite; the reference takes a_t =
/// 2^-24.
std::vector<double> sigmas_of(const NoiseSchedule& schedule) {
  std::vector<double> sigmas;
  for (const double alpha_cumprod : schedule.alphas_cumprod()) {
    const double alpha = alpha_cumprod > 0 ? alpha_cumprod : std::ldexp(1, -24);
    sigmas.push_back(std::sqrt((1 - alpha) / alpha));
  }
  return sigmas;
}

/// The timesteps of "discrete", falling. DPM-Solver spaces one more and leaves the last out, and
/// visits whole timesteps only.
std::vector<double> spaced_timesteps(const NoiseSchedule& schedule, const SamplerOptions& options) {
  const std::int64_t count = schedule.num_train_timesteps();
  const bool is_whole = is_dpm(options);
  const std::int64_t points = options.steps + (is_whole ? 1 : 0);
  std::vector<double> timesteps;
  for (std::int64_t i = 0; i < options.steps; ++i) {
    const std::int64_t remaining = points - 1 - i;
    if (options.timestep_spacing == "leading") {
      timesteps.push_back(static_cast<double>(remaining * (count / points) + options.steps_offset));
    } else if (options.timestep_spacing == "trailing") {
      const double spacing = static_cast<double>(count) / static_cast<double>(options.steps);
      timesteps.push_back(
          std::nearbyint(static_cast<double>(count) - static_cast<double>(i) * spacing) - 1);
    } else {
      const double spacing = static_cast<double>(count - 1) /
                             static_cast<double>(std::max<std::int64_t>(points - 1, 1));
      const double timestep = static_cast<double>(remaining) * spacing;
      timesteps.push_back(is_whole ? std::nearbyint(timestep) : timestep);
    }
  }
  return timesteps;
}

/// `values` at a fraction of an index.
double interpolate(const std::vector<double>& values, double index) {
  const auto below = static_cast<std::size_t>(index);
  if (below + 1 >= values.size()) return values.back();
  const double share = index - static_cast<double>(below);
  return (1 - share) * values[below] + share * values[below + 1];
}

/// Where a rising table of log sigma has this one, between two timesteps.
double timestep_of(double sigma, const std::vector<double>& log_sigmas) {
  const double log_sigma = std::log(sigma);
  const auto above = std::ranges::upper_bound(log_sigmas, log_sigma);
  const auto found = static_cast<std::size_t>(above - log_sigmas.begin());
  if (log_sigmas.size() < 2 || found == 0) return 0;
  const std::size_t low = std::min(found - 1, log_sigmas.size() - 2);
  const double share = (log_sigma - log_sigmas[low]) / (log_sigmas[low + 1] - log_sigmas[low]);
  return static_cast<double>(low) + std::clamp(share, 0.0, 1.0);
}

/// DPM-Solver tells the model whole timesteps; the reference rounds those of "karras" unless the
/// schedule is the cosine one, and cuts the others.
double told_timestep(double timestep, const NoiseSchedule& schedule,
                     const SamplerOptions& options) {
  if (!is_dpm(options)) return timestep;
  const bool rounds =
      options.scheduler == "karras" && schedule.options().beta_schedule != "squaredcos_cap_v2";
  return rounds ? std::nearbyint(timestep) : std::trunc(timestep);
}

}  // namespace

double curved_sigma(const SamplerOptions& options, std::int64_t index, double highest,
                    double lowest, double rho) {
  const double share =
      options.steps == 1 ? 0 : static_cast<double>(index) / static_cast<double>(options.steps - 1);
  if (options.scheduler == "exponential") {
    return std::exp(std::log(highest) + share * (std::log(lowest) - std::log(highest)));
  }
  const double first = std::pow(highest, 1 / rho);
  const double last = std::pow(lowest, 1 / rho);
  return std::pow(first + share * (last - first), rho);
}

std::vector<NoiseLevel> noise_levels(const NoiseSchedule& schedule, const SamplerOptions& options) {
  check_fit(schedule.options(), options);
  const std::int64_t count = schedule.num_train_timesteps();
  if (options.steps > count) {
    throw UserError("sample.steps: expected at most {} (diffusion.num_train_timesteps), found {}",
                    count, options.steps);
  }
  const std::vector<double> sigmas = sigmas_of(schedule);
  const std::vector<double> timesteps = spaced_timesteps(schedule, options);
  if (timesteps.front() > static_cast<double>(count - 1)) {
    throw UserError("sample.steps_offset: {} steps with offset {} begin past the last timestep, {}",
                    options.steps, options.steps_offset, count - 1);
  }
  std::vector<NoiseLevel> levels;
  for (const double timestep : timesteps)
    levels.push_back({interpolate(sigmas, timestep), timestep});
  if (options.scheduler != "discrete") {
    constexpr double kRho = 7;
    const double highest = is_dpm(options) ? sigmas.back() : levels.front().sigma;
    const double lowest = is_dpm(options) ? sigmas.front() : levels.back().sigma;
    std::vector<double> log_sigmas;
    for (const double sigma : sigmas) log_sigmas.push_back(std::log(sigma));
    for (std::int64_t i = 0; i < options.steps; ++i) {
      const double sigma = curved_sigma(options, i, highest, lowest, kRho);
      levels[static_cast<std::size_t>(i)] = {
          sigma, told_timestep(timestep_of(sigma, log_sigmas), schedule, options)};
    }
  }
  levels.push_back({});
  return levels;
}

}  // namespace crescendo::diffusion
