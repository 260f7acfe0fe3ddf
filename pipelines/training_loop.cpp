#include "pipelines/training_loop.h"

#include <chrono>
#include <cmath>

#include <ATen/Context.h>
#include <ATen/Functions.h>

#include "core/error.h"
#include "core/progress.h"
#include "core/random.h"

namespace crescendo::pipelines {

namespace {

/// What an optimizer step came to.
struct StepResult {
  double loss = 0;
  double grad_norm = 0;
  double seconds = 0;
  std::vector<std::pair<std::string, double>> parts;
  std::string first_key;
};

class TrainingLoop {
 public:
  TrainingLoop(TrainingTask& task, RunFolder& run, const TrainingLoopOptions& options)
      : task_(task), run_(run), options_(options) {}

  void run() {
    const std::int64_t begin =
        run_.resume([this](const std::filesystem::path& folder, const nlohmann::json& state) {
          load(folder, state);
        });
    const std::int64_t end = options_.train.max_train_steps;
    task_.start();
    Progress progress(options_.label, static_cast<std::uint64_t>(end), "steps",
                      static_cast<std::uint64_t>(begin));
    for (std::int64_t step = begin; step < end; ++step) {
      const StepResult result = take_step(step);
      const std::int64_t done = step + 1;
      log(done, result);
      progress.update(static_cast<std::uint64_t>(done), describe(result));
      if (options_.sample_every > 0 && done % options_.sample_every == 0) {
        task_.draw_samples(done, run_.path() / "samples");
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
    const auto began = std::chrono::steady_clock::now();
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
    result.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    return result;
  }

  /// One forward and backward pass.
  void accumulate(StepResult& result) {
    const ForwardPass pass = task_.forward();
    const auto samples = static_cast<double>(samples_per_step(options_.train));
    const at::Tensor loss = pass.losses.sum() / samples;
    loss.backward();
    result.loss += loss.item<double>();
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
    metrics["seconds"] = result.seconds;
    run_.log_metrics(metrics);
    if (const auto event = task_.observe(step, result.loss)) run_.log_metrics(*event);
  }

  std::string describe(const StepResult& result) const {
    std::string text = fmt::format("loss {:.4f}", result.loss);
    for (const auto& [name, value] : result.parts) text += fmt::format(" {} {:.4g}", name, value);
    if (const std::string status = task_.status(); !status.empty()) text += " " + status;
    const auto images = static_cast<double>(samples_per_step(options_.train));
    return text + fmt::format(" {:.0f} images/s", images / result.seconds);
  }

  TrainingTask& task_;
  RunFolder& run_;
  const TrainingLoopOptions& options_;
};

}  // namespace

std::optional<nlohmann::ordered_json> TrainingTask::observe(std::int64_t /*step*/,
                                                            double /*loss*/) {
  return std::nullopt;
}

void TrainingTask::add_metrics(nlohmann::ordered_json& /*metrics*/) const {}

void TrainingTask::draw_samples(std::int64_t /*step*/, const std::filesystem::path& /*folder*/) {}

void run_training(TrainingTask& task, RunFolder& run, const TrainingLoopOptions& options) {
  TrainingLoop(task, run, options).run();
}

}  // namespace crescendo::pipelines
