#include "pipelines/training_loop.h"

#include <cmath>

#include <ATen/Context.h>
#include <ATen/Functions.h>

#include "core/error.h"
#include "core/memory_use.h"
#include "core/progress.h"
#include "core/random.h"
#include "core/stopwatch.h"
#include "pipelines/training_status.h"

namespace crescendo::pipelines {

namespace {

/// What an optimizer step came to.
struct StepResult {
  double loss = 0;
  double grad_norm = 0;
  double seconds = 0;
  double data_seconds = 0;
  std::int64_t memory = 0;  ///< bytes in use after it
  std::vector<std::pair<std::string, double>> parts;
  std::string first_key;
};

class TrainingLoop {
 public:
  TrainingLoop(TrainingTask& task, RunFolder& run, RunMonitor& monitor,
               const TrainingLoopOptions& options)
      : task_(task), run_(run), monitor_(monitor), options_(options) {}

  void run() {
    const std::int64_t begin =
        run_.resume([this](const std::filesystem::path& folder, const nlohmann::json& state) {
          load(folder, state);
        });
    const std::int64_t end = options_.train.max_train_steps;
    task_.start();
    monitor_.start(begin);
    Progress progress(options_.label, static_cast<std::uint64_t>(end), "steps",
                      static_cast<std::uint64_t>(begin));
    for (std::int64_t step = begin; step < end; ++step) {
      const StepResult result = take_step(step);
      const std::int64_t done = step + 1;
      log(done, result);
      progress.update(static_cast<std::uint64_t>(done), describe(done, result));
      if (options_.sample_every > 0 && done % options_.sample_every == 0) {
        const std::filesystem::path file = task_.draw_samples(done, run_.path() / "samples");
        if (!file.empty()) monitor_.add_picture(done, file);
      }
      if (done % options_.checkpoint_every == 0 || done == end) {
        save(done);
      }
    }
  }

 private:
  void load(const std::filesystem::path& folder, const nlohmann::json& state) {
    try {
      task_.load_state(state);
    } catch (const DataError& failure) {
      throw DataError("{}: {}", folder.string(), failure.what());
    }
    task_.optimization().load(folder);
  }

  void save(std::int64_t step) {
    run_.save_checkpoint(step, task_.state(), [this](const std::filesystem::path& folder) {
      for (const auto& [name, tensors] : task_.optimization().files()) {
        save_tensors(folder / name, tensors, {{"format", "pt"}});
      }
    });
  }

  StepResult take_step(std::int64_t step) {
    const Stopwatch began;
    // Dropout is the one draw that LibTorch makes itself.
    const auto position = static_cast<std::uint64_t>(step);
    at::manual_seed(RandomStream(options_.seed, Purpose::kDropout, position).next());
    StepResult result;
    for (std::int64_t pass = 0; pass < options_.train.gradient_accumulation_steps; ++pass) {
      accumulate(result);
    }
    result.grad_norm = task_.optimization().step(step);
    if (!std::isfinite(result.loss) || !std::isfinite(result.grad_norm)) {
      throw UserError(
          "{}: the loss is {} and the gradient's norm {} at step {} (batch of sample '{}'); "
          "lower train.learning_rate or resume from an earlier checkpoint",
          options_.label, result.loss, result.grad_norm, step + 1, result.first_key);
    }
    result.seconds = began.seconds();
    result.memory = resident_bytes();
    return result;
  }

  /// One forward and backward pass.
  void accumulate(StepResult& result) {
    const ForwardPass pass = task_.forward();
    const auto samples = static_cast<double>(samples_per_step(options_.train));
    const at::Tensor loss = pass.losses.sum() / samples;
    loss.backward();
    result.loss += loss.item<double>();
    result.data_seconds += pass.data_seconds;
    if (result.first_key.empty()) result.first_key = pass.keys.front();
    result.parts.resize(pass.parts.size());
    for (std::size_t i = 0; i < pass.parts.size(); ++i) {
      result.parts[i].first = pass.parts[i].first;
      result.parts[i].second += pass.parts[i].second.sum().item<double>() / samples;
    }
  }

  void log(std::int64_t step, const StepResult& result) {
    nlohmann::ordered_json metrics = {{"step", step}, {"loss", result.loss}};
    for (const auto& [name, value] : result.parts) metrics[name] = value;
    metrics["lr"] = learning_rate_at(options_.train, step - 1);
    metrics["grad_norm"] = result.grad_norm;
    task_.add_metrics(metrics);
    metrics["first_key"] = result.first_key;
    metrics["images"] = samples_per_step(options_.train);
    metrics["seconds"] = result.seconds;
    metrics["data_seconds"] = result.data_seconds;
    metrics["memory"] = result.memory;
    record(metrics);
    for (const auto& event : task_.observe(step, result.loss)) record(event);
  }

  void record(const nlohmann::ordered_json& line) {
    run_.log_metrics(line);
    monitor_.observe(line);
  }

  /// What the progress bar says of step `step`.
  std::string describe(std::int64_t step, const StepResult& result) {
    std::string detail = task_.status();
    for (const auto& [name, value] : result.parts) {
      detail += fmt::format("{}{} {:.4g}", detail.empty() ? "" : "  ", name, value);
    }
    status_.observe({.loss = result.loss,
                     .learning_rate = learning_rate_at(options_.train, step - 1),
                     .detail = detail,
                     .images = static_cast<std::int64_t>(samples_per_step(options_.train)),
                     .seconds = result.seconds,
                     .data_seconds = result.data_seconds,
                     .memory_bytes = result.memory});
    return status_.note();
  }

  TrainingTask& task_;
  RunFolder& run_;
  RunMonitor& monitor_;
  const TrainingLoopOptions& options_;
  TrainingStatus status_;
};

}  // namespace

std::vector<nlohmann::ordered_json> TrainingTask::observe(std::int64_t /*step*/, double /*loss*/) {
  return {};
}

void TrainingTask::add_metrics(nlohmann::ordered_json& /*metrics*/) const {}

std::filesystem::path TrainingTask::draw_samples(std::int64_t /*step*/,
                                                 const std::filesystem::path& /*folder*/) {
  return {};
}

void run_training(TrainingTask& task, RunFolder& run, RunMonitor& monitor,
                  const TrainingLoopOptions& options) {
  TrainingLoop(task, run, monitor, options).run();
}

}  // namespace crescendo::pipelines
