#include "pipelines/training_loop.h"

#include "core/error.h"
#include "core/progress.h"
#include "pipelines/posthoc_snapshots.h"
#include "pipelines/training_step.h"

namespace crescendo::pipelines {

namespace {

class TrainingLoop {
 public:
  TrainingLoop(TrainingTask& task, RunFolder& run, const TrainingLoopOptions& options)
      : task_(task), run_(run), options_(options), step_(task, options, run.path()) {}

  void run() {
    const std::int64_t begin =
        run_.resume([this](const std::filesystem::path& folder, const nlohmann::json& state) {
          load(folder, state);
        });
    forget_posthoc_snapshots_after(run_.path(), begin);
    const std::int64_t end = options_.train.max_train_steps;
    task_.start();
    Progress progress(options_.label, static_cast<std::uint64_t>(end), "steps",
                      static_cast<std::uint64_t>(begin));
    for (std::int64_t step = begin; step < end; ++step) {
      const StepResult result = step_.take(step);
      const std::int64_t done = step + 1;
      log(done, result);
      progress.update(static_cast<std::uint64_t>(done), describe(result));
      if (options_.sample_every > 0 && done % options_.sample_every == 0) {
        task_.draw_samples(done, run_.path() / "samples");
      }
      if (done % options_.train.posthoc_ema_every == 0 || done == end) {
        const Optimization& optimization = task_.optimization();
        write_posthoc_snapshots(run_.path(), done, optimization.updates(),
                                optimization.posthoc_averages());
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
      step_.load_state(state.value("step_state", nlohmann::json::object()));
    } catch (const DataError& failure) {
      throw DataError("{}: {}", folder.string(), failure.what());
    }
    task_.optimization().load(folder);
  }

  void save(std::int64_t step) {
    nlohmann::json state = task_.state();
    state["step_state"] = step_.state();
    run_.save_checkpoint(step, state, [this](const std::filesystem::path& folder) {
      for (const auto& [name, tensors] : task_.optimization().files()) {
        save_tensors(folder / name, tensors, {{"format", "pt"}});
      }
    });
  }

  void log(std::int64_t step, const StepResult& result) {
    nlohmann::ordered_json metrics = {{"step", step}, {"loss", result.loss}};
    for (const auto& [name, value] : result.parts) metrics[name] = value;
    metrics["lr"] = learning_rate_at(options_.train, step - 1);
    metrics["grad_norm"] = result.grad_norm;
    task_.add_metrics(metrics);
    if (options_.mixed_precision == "fp16") metrics["loss_scale"] = result.loss_scale;
    if (step_.nonfinite_steps() > 0) metrics["nonfinite_steps"] = step_.nonfinite_steps();
    metrics["first_key"] = result.keys.front();
    if (result.skipped) metrics["skipped_keys"] = result.keys;
    metrics["seconds"] = result.seconds;
    run_.log_metrics(metrics);
    if (result.skipped) return;
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
  TrainingStep step_;
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
