#include "core/autocast.h"

#include <ATen/autocast_mode.h>

namespace crescendo {

namespace {

void set_autocast(const AutocastState& state) {
  at::autocast::set_autocast_enabled(state.device, state.enabled);
  at::autocast::set_autocast_dtype(state.device, state.dtype);
  at::autocast::set_autocast_cache_enabled(state.caches_weights);
}

}  // namespace

AutocastState autocast_state(c10::DeviceType device) {
  return {.device = device,
          .enabled = at::autocast::is_autocast_enabled(device),
          .dtype = at::autocast::get_autocast_dtype(device),
          .caches_weights = at::autocast::is_autocast_cache_enabled()};
}

AutocastGuard::AutocastGuard(const AutocastState& state) : before_(autocast_state(state.device)) {
  at::autocast::increment_nesting();
  set_autocast(state);
}

AutocastGuard::~AutocastGuard() {
  if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
  set_autocast(before_);
}

}  // namespace crescendo
