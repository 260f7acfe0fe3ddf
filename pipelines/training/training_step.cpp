#include "pipelines/training/training_step.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <utility>

#include <ATen/Context.h>
#include <ATen/Functions.h>

#include "core/error.h"
#include "core/interruption.h"
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
      scale_(options.mixed_precision == "fp16"),
      gradients_(task.optimization().parameters(), options.ranks,
                 options.train.reduce_dtype == "bfloat16" ? Number::kBfloat16 : Number::kFloat32) {}

StepResult TrainingStep::take(std::int64_t step) {
  const Stopwatch began;
  Communicator& ranks = options_.ranks;
  // Dropout is the one draw that LibTorch makes itself.
  const auto position = static_cast<std::uint64_t>(step * ranks.size() + ranks.rank());
  at::manual_seed(RandomStream(options_.seed, Purpose::kDropout, position).next());
  StepResult result{.loss_scale = scale_.value()};
  NonfiniteStep record{.step = step + 1};
  Optimization& optimization = task_.optimization();
  try {
    for (std::int64_t pass = 0; pass < options_.train.gradient_accumulation_steps; ++pass) {
      accumulate(pass, result, record);
    }
  } catch (const Interrupted&) {
    result.samples.stopped = true;  // which the others, who wait for our gradients, must know
  }
  gradients_.finish();
  result.samples = samples_of_all(std::move(result.samples), ranks);
  if (result.samples.stopped) {
    optimization.discard_gradients();
    throw Interrupted();
  }
  result.loss = mean_of(result.samples.losses);
  for (const auto& [name, values] : result.samples.parts) {
    result.parts.emplace_back(name, mean_of(values));
  }
  // A batch may be short: what counts is the samples that there were.
  const auto samples = static_cast<double>(result.samples.losses.size());
  const double divisor = result.loss_scale * samples / samples_wanted();
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
  if (number + 1 == options_.train.gradient_accumulation_steps) gradients_.start();
  // Divided here rather than at the end, where it would be too late for float16.
  (pass.losses.sum() / samples_wanted() * result.loss_scale).backward();
  const bool was_finite = record.losses_are_finite();
  const std::size_t before = result.samples.losses.size();
  result.samples.add(pass);
  for (std::size_t i = 0; i < pass.keys.size(); ++i) {
    record.losses.emplace_back(pass.keys[i], result.samples.losses[before + i]);
  }
  if (!was_finite) return;  // the pass that went wrong is recorded already
  record.pass = number;
  record.inputs = std::move(pass.inputs);
  record.pass_keys = std::move(pass.keys);
}

double TrainingStep::samples_wanted() const {
  return static_cast<double>(samples_per_step(options_.train, options_.ranks.size()));
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
            std::abs(result.loss), std::abs(result.grad_norm), some_keys(result.samples.keys));
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
  record = record_of_all(std::move(record), options_.ranks);
  std::string dump;
  if (options_.ranks.leads()) dump = write_nonfinite_dump(record, folder_).string();
  dump = options_.ranks.agree_on(dump);
  throw UserError(
      "{}: the loss is {} and the gradient's norm {} at step {}; expected finite ones, found {} "
      "steps in a row without; `crescendo inspect {}` tells more. Lower train.learning_rate, "
      "resume from an earlier checkpoint, or allow more with train.max_nonfinite_steps",
      options_.label, std::abs(result.loss), std::abs(result.grad_norm), record.step,
      nonfinite_in_a_row_, dump);
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
