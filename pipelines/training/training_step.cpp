#include "pipelines/training/training_step.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include <ATen/Context.h>
#include <ATen/Functions.h>

#include "core/error.h"
#include "core/log.h"
#include "core/random.h"
#include "core/stopwatch.h"
#include "pipelines/training/training_loop.h"

namespace crescendo::pipelines {

namespace {

/// For the log.
std::string some_keys(const std::vector<std::string>& keys) {
  constexpr std::size_t kShown = 64;
  const std::span<const std::string> shown(keys.data(), std::min(keys.size(), kShown));
  std::string text = fmt::format("{}", fmt::join(shown, ", "));
  if (keys.size() > kShown) text += fmt::format(" and {} more", keys.size() - kShown);
  return text;
}

}  // namespace

TrainingStep::TrainingStep(TrainingTask& task, const TrainingLoopOptions& options,
                           std::filesystem::path folder)
    : task_(task),
      options_(options),
      folder_(std::move(folder)),
      scale_(options.mixed_precision == "fp16") {}

StepResult TrainingStep::take(std::int64_t step) {
  const Stopwatch began;
  // Dropout is the one draw that LibTorch makes itself.
  const auto position = static_cast<std::uint64_t>(step);
  at::manual_seed(RandomStream(options_.seed, Purpose::kDropout, position).next());
  StepResult result{.loss_scale = scale_.value()};
  NonfiniteStep record{.step = step + 1};
  for (std::int64_t pass = 0; pass < options_.train.gradient_accumulation_steps; ++pass) {
    accumulate(pass, result, record);
  }
  // A batch may be short: what counts is the samples that there were.
  const auto share = static_cast<double>(result.keys.size()) /
                     static_cast<double>(samples_per_step(options_.train));
  result.loss /= share;
  for (auto& [name, value] : result.parts) value /= share;
  Optimization& optimization = task_.optimization();
  const double divisor = result.loss_scale * share;
  result.grad_norm = std::isfinite(result.loss) ? optimization.step(step, divisor)
                                                : optimization.gradient_norm() / divisor;
  if (std::isfinite(result.loss) && std::isfinite(result.grad_norm)) {
    nonfinite_in_a_row_ = 0;
    scale_.grow();
  } else {
    skip(result, record);
  }
  result.seconds = began.seconds();
  return result;
}

void TrainingStep::accumulate(std::int64_t number, StepResult& result, NonfiniteStep& record) {
  ForwardPass pass = task_.forward();
  // Divided here rather than at the end, where it would be too late for float16.
  const auto samples = static_cast<double>(samples_per_step(options_.train));
  const at::Tensor loss = pass.losses.sum() / samples;
  (loss * result.loss_scale).backward();
  const bool was_finite = std::isfinite(result.loss);
  result.loss += loss.item<double>();
  result.parts.resize(pass.parts.size());
  for (std::size_t i = 0; i < pass.parts.size(); ++i) {
    result.parts[i].first = pass.parts[i].first;
    result.parts[i].second += pass.parts[i].second.sum().item<double>() / samples;
  }
  const at::Tensor losses = pass.losses.detach().to(at::kCPU, at::kDouble).contiguous();
  for (std::size_t i = 0; i < pass.keys.size(); ++i) {
    record.losses.emplace_back(pass.keys[i], losses.const_data_ptr<double>()[i]);
  }
  result.data_seconds += pass.data_seconds;
  result.keys.insert(result.keys.end(), pass.keys.begin(), pass.keys.end());
  if (!was_finite) return;  // the pass that went wrong is recorded already
  record.pass = number;
  record.inputs = std::move(pass.inputs);
  record.pass_keys = std::move(pass.keys);
}

void TrainingStep::skip(StepResult& result, NonfiniteStep& record) {
  result.skipped = true;
  if (std::isfinite(result.loss) && scale_.shrink()) {
    log::info("step {}: gradients overflow float16; skipped, the loss scale is now {}", record.step,
              scale_.value());
    task_.optimization().discard_gradients();
    return;
  }
  ++nonfinite_steps_;
  log::warn("step {}: skipped, the loss is {} and the gradient's norm {}; samples: {}", record.step,
            std::abs(result.loss), std::abs(result.grad_norm), some_keys(result.keys));
  if (++nonfinite_in_a_row_ > options_.train.max_nonfinite_steps) stop(result, record);
  task_.optimization().discard_gradients();
}

void TrainingStep::stop(const StepResult& result, NonfiniteStep& record) {
  const Optimization& optimization = task_.optimization();
  record.grad_norm = result.grad_norm;
  record.learning_rate = learning_rate_at(options_.train, record.step - 1);
  record.loss_scale = result.loss_scale;
  record.gradient_norms = optimization.gradient_norms();
  record.weight_norms = optimization.weight_norms();
  const std::filesystem::path dump = write_nonfinite_dump(record, folder_);
  throw UserError(
      "{}: the loss is {} and the gradient's norm {} at step {}; expected finite ones, found {} "
      "steps in a row without; `crescendo inspect {}` tells more. Lower train.learning_rate, "
      "resume "
      "from an earlier checkpoint, or allow more with train.max_nonfinite_steps",
      options_.label, std::abs(result.loss), std::abs(result.grad_norm), record.step,
      nonfinite_in_a_row_, dump.string());
}

nlohmann::json TrainingStep::state() const {
  return {{"loss_scale", scale_.state()},
          {"nonfinite_steps", nonfinite_steps_},
          {"nonfinite_in_a_row", nonfinite_in_a_row_}};
}

void TrainingStep::load_state(const nlohmann::json& state) {
  try {
    scale_.load_state(state.at("loss_scale"));
    nonfinite_steps_ = state.at("nonfinite_steps").get<std::int64_t>();
    nonfinite_in_a_row_ = state.at("nonfinite_in_a_row").get<std::int64_t>();
  } catch (const nlohmann::json::exception&) {
    throw DataError("the counts of skipped steps are missing");
  }
}

}  // namespace crescendo::pipelines
