#pragma once

#include <cstdint>

#include <c10/core/Device.h>

namespace crescendo {

/// The most bytes that tensors have had on an accelerator since the process began; 0 for the CPU,
/// where peak_resident_bytes() tells, and for a LibTorch older than 2.9.
std::int64_t peak_device_bytes(c10::Device device);

}  // namespace crescendo
