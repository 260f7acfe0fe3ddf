#include "pipelines/training/loss_scale.h"

namespace crescendo::pipelines {

namespace {

constexpr std::int64_t kGrowthInterval = 2000;

}  // namespace

void LossScale::grow() {
  if (!enabled_ || ++finite_steps_ < kGrowthInterval) return;
  scale_ *= 2;
  finite_steps_ = 0;
}

bool LossScale::shrink() {
  if (!enabled_ || scale_ <= 1) return false;
  scale_ /= 2;
  finite_steps_ = 0;
  return true;
}

nlohmann::json LossScale::state() const {
  return {{"scale", scale_}, {"finite_steps", finite_steps_}};
}

void LossScale::load_state(const nlohmann::json& state) {
  if (!enabled_) return;
  scale_ = state.at("scale").get<double>();
  finite_steps_ = state.at("finite_steps").get<std::int64_t>();
}

}  // namespace crescendo::pipelines
