#include "curriculum/pacing.h"

#include <cmath>

#include "core/error.h"

namespace crescendo::curriculum {

std::vector<Field> fields(PacingOptions& o) {
  return {
      {.name = "rule",
       .value = &o.rule,
       .doc = "what ends a stage: the loss (patience), or its max_stage_steps alone (fixed)",
       .choices = {"patience", "fixed"}},
      {"patience", &o.patience, "steps without a new best loss that a stage outlasts", 1},
      {"ema", &o.ema, "smoothing of the loss, the share of the past; 0 is off", 0, 0.9999},
      {"min_delta", &o.min_delta, "a new best loss is lower than the last by more than this", 0},
      {"max_stage_steps", &o.max_stage_steps, "most steps of a stage; 0 is no limit", 0},
  };
}

std::string_view to_string(StageEnd reason) {
  return reason == StageEnd::kPatience ? "patience" : "max_stage_steps";
}

Pacing::Pacing(const PacingOptions& options) : options_(options) {
  check_fields(fields(options_), "curriculum.pacing");
  if (options_.rule == "fixed" && options_.max_stage_steps == 0) {
    throw UserError(
        "curriculum.pacing.max_stage_steps: expected the steps of a stage, for rule = \"fixed\", "
        "found 0");
  }
}

std::optional<StageEnd> Pacing::observe(double loss) {
  if (!std::isfinite(loss)) return std::nullopt;
  const double past = options_.ema * smoothed_loss_.value_or(loss);
  smoothed_loss_ = options_.ema == 0 ? loss : past + (1 - options_.ema) * loss;
  ++steps_in_stage_;
  if (*smoothed_loss_ < best_ - options_.min_delta) {
    best_ = *smoothed_loss_;
    waited_ = 0;
  } else {
    ++waited_;
  }
  if (options_.rule == "patience" && waited_ > options_.patience) return StageEnd::kPatience;
  if (options_.max_stage_steps > 0 && steps_in_stage_ >= options_.max_stage_steps) {
    return StageEnd::kMaxStageSteps;
  }
  return std::nullopt;
}

void Pacing::restart() { *this = Pacing(options_); }

nlohmann::json Pacing::state() const {
  // JSON has no infinity: a stage without a best loss yet has null.
  const auto finite_or_null = [](double value) -> nlohmann::json {
    if (std::isfinite(value)) return value;
    return nullptr;
  };
  return {{"best", finite_or_null(best_)},
          {"waited", waited_},
          {"steps_in_stage", steps_in_stage_},
          {"smoothed_loss", smoothed_loss_ ? nlohmann::json(*smoothed_loss_) : nullptr}};
}

void Pacing::load_state(const nlohmann::json& state) {
  std::optional<double> best;
  std::int64_t waited = 0;
  std::int64_t steps_in_stage = 0;
  std::optional<double> smoothed_loss;
  try {
    const auto optional_number = [&](const char* key) {
      const nlohmann::json& value = state.at(key);
      return value.is_null() ? std::nullopt : std::optional(value.get<double>());
    };
    best = optional_number("best");
    waited = state.at("waited").get<std::int64_t>();
    steps_in_stage = state.at("steps_in_stage").get<std::int64_t>();
    smoothed_loss = optional_number("smoothed_loss");
  } catch (const nlohmann::json::exception& failure) {
    throw DataError("curriculum state: not a pacing state ({})", failure.what());
  }
  best_ = best.value_or(std::numeric_limits<double>::infinity());
  waited_ = waited;
  steps_in_stage_ = steps_in_stage;
  smoothed_loss_ = smoothed_loss;
}

}  // namespace crescendo::curriculum
