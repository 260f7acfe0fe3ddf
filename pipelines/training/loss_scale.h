#pragma once

#include <cstdint>

#include <nlohmann/json.hpp>

namespace crescendo::pipelines {

/// The factor that keeps small gradients above the least float16 (Micikevicius et al., arXiv
/// 1710.03740), with the numbers of torch.amp.GradScaler: 65536 at first, halved when gradients
/// overflow, doubled after 2000 steps in a row in which they did not.
class LossScale {
 public:
  /// 1 throughout unless `enabled`.
  explicit LossScale(bool enabled) : enabled_(enabled), scale_(enabled ? 65536 : 1) {}

  bool enabled() const { return enabled_; }
  double value() const { return scale_; }

  /// After a step whose gradients were finite.
  void grow();

  /// After one in which they were not, though the loss was. False when the scale is not to blame.
  bool shrink();

  nlohmann::json state() const;

  /// Throws nlohmann's exception.
  void load_state(const nlohmann::json& state);

 private:
  bool enabled_;
  double scale_;
  std::int64_t finite_steps_ = 0;  ///< since it last changed
};

}  // namespace crescendo::pipelines
