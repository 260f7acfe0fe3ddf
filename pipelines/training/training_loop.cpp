#include "pipelines/training/training_loop.h"

#include <cmath>
#include <csignal>
#include <functional>
#include <span>

#include "core/error.h"
#include "core/interruption.h"
#include "core/log.h"
#include "core/memory_use.h"
#include "core/progress.h"
#include "dataloader/plain_file.h"
#include "pipelines/monitoring/training_status.h"
#include "pipelines/training/posthoc_snapshots.h"
#include "pipelines/training/training_step.h"

namespace crescendo::pipelines {

namespace {

constexpr const char* kOwesSamples = "owes_samples";  ///< in the state of a checkpoint
constexpr const char* kOwesValidation = "owes_validation";
constexpr const char* kStepState = "step_state";

/// Of all keys in their order, so that two runs can be compared by their logs.
std::string checksum(const std::vector<std::string>& keys) {
  std::uint32_t crc = 0;
  for (const std::string& key : keys) {
    crc = dataloader::crc32_of(std::as_bytes(std::span(key.c_str(), key.size() + 1)), crc);
  }
  return fmt::format("{:08x}", crc);
}

class TrainingLoop {
 public:
  TrainingLoop(TrainingTask& task, RunFolder* run, RunMonitor* monitor,
               const TrainingLoopOptions& options)
      : task_(task),
        run_(run),
        monitor_(monitor),
        options_(options),
        ranks_(options.ranks),
        step_(task, options, run == nullptr ? std::filesystem::path() : run->path()) {}

  /// False when a stop was asked for before the end.
  bool run() {
    if (run_ != nullptr) begin();
    share_beginning();
    const bool owes = owes_validation_ || owes_samples_;
    if (done_ >= options_.train.max_train_steps && !owes) return true;
    try {
      together([this] {
        throw_if_stopped();
        task_.start();
      });
      train();
      return true;
    } catch (const Interrupted&) {
      stop();
      return false;
    }
  }

 private:
  /// Does `work` here; when a stop breaks it off on any rank, all leave it for that.
  void together(const std::function<void()>& work) {
    bool stopped = false;
    try {
      work();
    } catch (const Interrupted&) {
      stopped = true;
    }
    if (ranks_.any(stopped)) throw Interrupted();
  }

  void begin() {
    done_ = run_->resume([this](const std::filesystem::path& folder, const nlohmann::json& state) {
      load(folder, state);
    });
    forget_posthoc_snapshots_after(run_->path(), done_);
  }

  /// The other ranks begin with what rank 0 has, who alone need see the run folder.
  void share_beginning() {
    if (ranks_.size() == 1) return;
    const auto beginning =
        nlohmann::json::parse(ranks_.agree_on(nlohmann::json{done_, begun_from_, begun_}.dump()));
    beginning.at(0).get_to(done_);
    if (!ranks_.leads() && !beginning.at(2).is_null()) load_state(beginning.at(2));
    task_.optimization().share(beginning.at(1).get<std::string>());
    begun_ = {};
  }

  void train() {
    const std::int64_t end = options_.train.max_train_steps;
    if (monitor_ != nullptr) monitor_->start(done_);
    log::info("global batch: {} images = {} rank{} x {} x {} accumulated",
              samples_per_step(options_.train, ranks_.size()), ranks_.size(),
              ranks_.size() > 1 ? "s" : "", options_.train.train_batch_size,
              options_.train.gradient_accumulation_steps);
    if (const std::string share = task_.optimization().describe_share(); !share.empty()) {
      log::info("optimizer state: {}", share);
    }
    Progress progress(options_.label, static_cast<std::uint64_t>(end), "steps",
                      static_cast<std::uint64_t>(done_));
    take_state();
    if (done_ == 0) owes_validation_ = options_.validate_every > 0;
    const bool owed_validation = owes_validation_;
    pay_debts();
    // What the checkpoint that was resumed from does not know yet.
    if (ranks_.any(owed_validation && done_ > 0 && best_.step == done_)) save();
    while (done_ < end) {
      const StepResult result = step_.take(done_);
      ++done_;
      log(done_, result);
      take_state();
      progress.update(static_cast<std::uint64_t>(done_), describe(done_, result));
      if (done_ % options_.train.posthoc_ema_every == 0 || done_ == end) save_posthoc_averages();
      owes_validation_ = is_due(options_.validate_every);
      owes_samples_ = is_due(options_.sample_every) || is_due(options_.evaluate_every);
      pay_debts();
      const bool wanted = ranks_.any(take_checkpoint_request() || best_.step == done_);
      if (wanted || done_ % options_.checkpoint_every == 0 || done_ == end) save();
      if (done_ < end) together(throw_if_stopped);
    }
  }

  bool is_due(std::int64_t every) const { return every > 0 && done_ % every == 0; }

  /// What is due after this step. A stop breaks it off, and the resumed run begins with it.
  void pay_debts() {
    if (!owes_validation_ && !owes_samples_) return;
    together([this] {
      if (run_ == nullptr) return;  // rank 0 pays for all
      if (owes_validation_) validate();
      if (owes_samples_) look_at_samples();
    });
    owes_validation_ = owes_samples_ = false;
  }

  /// Keeps the last whole step; of the one that a stop broke off nothing is left.
  void stop() {
    if (ranks_.any(run_ != nullptr && !state_.is_null() && run_->saved_step() < done_)) save();
    if (run_ == nullptr) return;
    run_->require_saved();
    log::warn("stopped by {} at step {} of {}; {}; the same command goes on from there",
              stop_signal() == SIGINT ? "SIGINT" : "SIGTERM", done_, options_.train.max_train_steps,
              done_ == 0 ? "nothing to save yet" : "that step is saved");
  }

  void load(const std::filesystem::path& folder, const nlohmann::json& state) {
    if (options_.keep_best) best_ = saved_best_ = run_->best_of(state);
    try {
      load_state(state);
    } catch (const DataError& failure) {
      throw DataError("{}: {}", folder.string(), failure.what());
    }
    task_.optimization().load(folder);
    begun_ = state;
    begun_from_ = folder.string();
  }

  void load_state(const nlohmann::json& state) {
    owes_samples_ = state.value(kOwesSamples, false);
    owes_validation_ = state.value(kOwesValidation, false);
    task_.load_state(state);
    step_.load_state(state.value(kStepState, nlohmann::json::object()));
  }

  void take_state() {
    state_ = task_.state();
    state_[kStepState] = step_.state();
  }

  void save() {
    nlohmann::json state = state_of_all();
    const std::map<std::string, TensorMap> files = task_.optimization().files();
    if (run_ == nullptr) return;
    if (best_.step < done_) settle_best();
    if (owes_samples_) state[kOwesSamples] = true;
    if (owes_validation_) state[kOwesValidation] = true;
    if (best_.step > 0) best_.add_to(state);
    run_->save_checkpoint(done_, state, files);
  }

  nlohmann::json state_of_all() const {
    if (ranks_.size() == 1) return state_;
    std::vector<nlohmann::json> states;
    for (const std::string& one : ranks_.gather(state_.dump())) {
      states.push_back(nlohmann::json::parse(one));
    }
    return task_.merge(states);
  }

  /// A best step whose checkpoint could not be written is lost; the one before it still stands.
  void settle_best() {
    if (best_.step == saved_best_.step) return;
    if (best_.step <= run_->saved_step()) {
      saved_best_ = best_;
    } else {
      best_ = saved_best_;
    }
  }

  void save_posthoc_averages() {
    if (run_ == nullptr) return;
    const Optimization& optimization = task_.optimization();
    try {
      write_posthoc_snapshots(run_->path(), done_, optimization.updates(),
                              optimization.posthoc_averages());
    } catch (const UserError& failure) {
      log::error("step {}: no snapshot for posthoc_ema: {}; training goes on", done_,
                 failure.what());
    }
  }

  void validate() {
    settle_best();
    if (const auto event = task_.validate(done_)) {
      record(*event);
      const double loss = event->at("loss").get<double>();
      const std::string set = event->value("set", "");
      const bool is_best = std::isfinite(loss) && done_ > 0 &&
                           (best_.step == 0 || best_.set != set || loss < best_.loss);
      if (options_.keep_best && is_best) best_ = {done_, loss, set};
      log::info("step {}: held-out loss {:.5g}{}", done_, loss,
                best_.step == done_ && done_ > 0 ? ", the lowest so far" : "");
    }
    owes_validation_ = false;
  }

  void look_at_samples() {
    if (is_due(options_.sample_every)) draw_samples();
    if (is_due(options_.evaluate_every)) evaluate();
    owes_samples_ = false;
  }

  void draw_samples() {
    try {
      const std::filesystem::path file = task_.draw_samples(done_, run_->path() / "samples");
      if (!file.empty()) monitor_->add_picture(done_, file);
    } catch (const UserError& failure) {
      log::error("step {}: no samples: {}; training goes on", done_, failure.what());
    }
  }

  void evaluate() {
    try {
      const auto event = task_.evaluate(done_);
      if (!event) return;
      record(*event);
      log::info("step {}: evaluated: {}", done_, event->dump());
    } catch (const UserError& failure) {
      log::error("step {}: no evaluation: {}; training goes on", done_, failure.what());
    }
  }

  void log(std::int64_t step, const StepResult& result) {
    nlohmann::ordered_json metrics = {{"step", step}, {"loss", result.loss}};
    for (const auto& [name, value] : result.parts) metrics[name] = value;
    metrics["lr"] = learning_rate_at(options_.train, step - 1);
    metrics["grad_norm"] = result.grad_norm;
    task_.add_metrics(metrics);
    if (options_.mixed_precision == "fp16") metrics["loss_scale"] = result.loss_scale;
    if (step_.nonfinite_steps() > 0) metrics["nonfinite_steps"] = step_.nonfinite_steps();
    const std::vector<std::string>& keys = result.samples.keys;
    metrics["first_key"] = keys.front();
    metrics["keys_crc32"] = checksum(keys);
    if (result.skipped) metrics["skipped_keys"] = keys;
    metrics["images"] = keys.size();
    metrics["seconds"] = result.seconds;
    metrics["data_seconds"] = result.samples.data_seconds;
    metrics["memory"] = resident_bytes();
    record(metrics);
    if (result.skipped) return;
    for (const auto& event : task_.observe(step, result.loss, result.samples)) record(event);
  }

  void record(const nlohmann::ordered_json& line) {
    if (run_ == nullptr) return;
    run_->log_metrics(line);
    monitor_->observe(line);
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
                     .images = static_cast<std::int64_t>(result.samples.keys.size()),
                     .seconds = result.seconds,
                     .data_seconds = result.samples.data_seconds,
                     .memory_bytes = resident_bytes()});
    return status_.note();
  }

  TrainingTask& task_;
  RunFolder* run_;  ///< as the monitor: of rank 0, null on the others
  RunMonitor* monitor_;
  const TrainingLoopOptions& options_;
  Communicator& ranks_;
  TrainingStep step_;
  TrainingStatus status_;
  std::int64_t done_ = 0;  ///< whole steps
  nlohmann::json begun_;   ///< the state of the checkpoint; null where there was none
  std::string begun_from_;
  nlohmann::json state_;  ///< after them, on this rank; null before start()
  bool owes_validation_ = false;
  bool owes_samples_ = false;
  BestStep best_;        ///< maybe still to be written
  BestStep saved_best_;  ///< of a whole checkpoint
};

}  // namespace

nlohmann::json TrainingTask::merge(std::span<const nlohmann::json> states) const {
  return states[0];
}

std::vector<nlohmann::ordered_json> TrainingTask::observe(std::int64_t /*step*/, double /*loss*/,
                                                          const StepSamples& /*samples*/) {
  return {};
}

void TrainingTask::add_metrics(nlohmann::ordered_json& /*metrics*/) const {}

std::optional<nlohmann::ordered_json> TrainingTask::validate(std::int64_t /*step*/) {
  return std::nullopt;
}

std::optional<nlohmann::ordered_json> TrainingTask::evaluate(std::int64_t /*step*/) {
  return std::nullopt;
}

std::filesystem::path TrainingTask::draw_samples(std::int64_t /*step*/,
                                                 const std::filesystem::path& /*folder*/) {
  return {};
}

bool run_training(TrainingTask& task, RunFolder* run, RunMonitor* monitor,
                  const TrainingLoopOptions& options) {
  return TrainingLoop(task, run, monitor, options).run();
}

}  // namespace crescendo::pipelines
