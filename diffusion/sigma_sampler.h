#pragma once

#include "diffusion/sampler.h"

namespace crescendo::diffusion {

/// sample() for the samplers with uses_sigmas(), each step by step as diffusers' scheduler:
///
/// - euler, euler_a (Euler's method, and with ancestral noise): EulerDiscreteScheduler and
///   EulerAncestralDiscreteScheduler.
/// - heun (arXiv 2206.00364, Algorithm 1, without churn; two calls of the model a step, one in the
///   last): HeunDiscreteScheduler.
/// - dpm++2m, dpm++2m_sde (arXiv 2211.01095, Algorithm 2, and its stochastic form):
///   DPMSolverMultistepScheduler of order 2, the last step of order 1.
at::Tensor sample_by_sigma(const NoiseProcess& process, const SamplerOptions& options,
                           const at::Tensor& initial_noise, const Denoiser& denoiser,
                           const StepNoise& step_noise, const StepProgress& progress);

}  // namespace crescendo::diffusion
