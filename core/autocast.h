#pragma once

#include <c10/core/DeviceType.h>
#include <c10/core/ScalarType.h>

namespace crescendo {

/// Automatic mixed precision of the calling thread for operations on one kind of device: matrix
/// products and convolutions take `dtype` copies of float32 tensors, what needs range stays
/// float32.
struct AutocastState {
  c10::DeviceType device = c10::DeviceType::CPU;
  bool enabled = false;
  c10::ScalarType dtype = c10::ScalarType::BFloat16;

  /// Casts of weights are kept until the outermost guard ends, with their gradient functions; so
  /// this must be off where weights are used without gradients between uses with them.
  bool caches_weights = true;
};

/// What holds now.
AutocastState autocast_state(c10::DeviceType device);

/// `state` holds while it lives, and then what held before.
class AutocastGuard {
 public:
  explicit AutocastGuard(const AutocastState& state);
  ~AutocastGuard();
  AutocastGuard(const AutocastGuard&) = delete;
  AutocastGuard& operator=(const AutocastGuard&) = delete;

 private:
  AutocastState before_;
};

}  // namespace crescendo
