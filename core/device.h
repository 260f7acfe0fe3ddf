#pragma once

#include <string_view>

#include <c10/core/Device.h>

namespace crescendo {

/// Turns "auto", "cpu", "cuda" or "cuda:N" into a device. "auto" is CUDA where a usable GPU and
/// libtorch_cuda are found, else the CPU. When CUDA is asked for or found, libtorch_cuda.so is
/// loaded from LibTorch's own folder; so this must be the first call into LibTorch of the process.
/// For the CPU it tunes what computes there (core/cpu_tuning.h).
/// Throws UserError when CUDA is asked for and cannot be had, saying why.
c10::Device select_device(std::string_view name);

}  // namespace crescendo
