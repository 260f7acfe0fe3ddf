#include "pipelines/runs/run_folder.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>

#include <torch/version.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/log.h"
#include "pipelines/runs/config_changes.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr const char* kAbandonedSuffix = ".abandoned";  ///< no longer listed
constexpr const char* kFinishedFile = "finished.json";  ///< the step that model/ is of

nlohmann::json versions() { return {{"crescendo", CRESCENDO_VERSION}, {"torch", TORCH_VERSION}}; }

std::string finished_mark(std::int64_t step) { return fmt::format("{{\"step\":{}}}\n", step); }

void create_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) throw UserError("{}: cannot create the folder: {}", path.string(), error.message());
}

/// Deletes what a process that was killed while it wrote has left half-written.
void remove_leftovers(const fs::path& run) {
  for (const fs::path& folder : {run, run / "checkpoints"}) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      if (is_temporary_name(entry.path())) fs::remove_all(entry.path(), error);
    }
  }
}

}  // namespace

RunFolder::RunFolder(const RunOptions& run, CheckpointOptions checkpoint, RunConfig config,
                     Resume resume)
    : path_(run.output_dir),
      checkpoint_(std::move(checkpoint)),
      config_(std::move(config)),
      resume_(std::move(resume)),
      metrics_(path_ / "metrics.jsonl"),
      writer_([this](const Checkpoint& written) { write(written); }) {
  if (run.output_dir.empty()) {
    throw UserError(
        "run.output_dir: expected the folder to write the run to, found none; set it in [run] or "
        "with --set run.output_dir=FOLDER");
  }
  create_folder(path_);
  lock();
  require_room(!list_checkpoints(path_).empty());
  remove_leftovers(path_);
  log::also_to_file(path_ / "log.txt");
}

void RunFolder::require_room(bool has_checkpoint) const {
  const bool has_model = fs::exists(path_ / "model");
  if (resume_.refused && (has_checkpoint || has_model)) {
    throw UserError(
        "{}: already holds a run, which --no-resume does not go on with; choose another "
        "run.output_dir, or move that folder away",
        path_.string());
  }
  if (has_model && !has_checkpoint && resume_.from.empty()) {
    throw UserError(
        "{}: holds a model but no checkpoint to go on from; choose another run.output_dir, or move "
        "that folder away",
        path_.string());
  }
}

bool has_finished_model(const fs::path& run) {
  return fs::exists(run / "model") && fs::exists(run / kFinishedFile);
}

void RunFolder::lock() {
  const fs::path file = path_ / "run.lock";
  lock_ = dataloader::Descriptor(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (lock_.get() < 0) throw UserError("{}: cannot write: {}", file.string(), std::strerror(errno));
  // Elsewhere than EWOULDBLOCK the file system has no locks, and the run goes without.
  if (::flock(lock_.get(), LOCK_EX | LOCK_NB) != 0 && errno == EWOULDBLOCK) {
    throw UserError("{}: another process trains in this folder; wait for it or stop it",
                    path_.string());
  }
}

bool RunFolder::finished(std::int64_t max_train_steps) const {
  const std::vector<CheckpointFolder> all = list_checkpoints(path_);
  if (!resume_.from.empty() || all.empty() || !has_finished_model(path_)) return false;
  const std::int64_t step = all[0].step;
  if (step < max_train_steps || read_file(path_ / kFinishedFile) != finished_mark(step)) {
    return false;
  }
  read_state(all[0].path);
  log::info(
      "{}: is finished, at step {} of {}; a larger train.max_train_steps trains on, another "
      "run.output_dir begins anew",
      path_.string(), step, max_train_steps);
  return true;
}

nlohmann::json RunFolder::read_state(const fs::path& checkpoint) const {
  nlohmann::json state = read_checkpoint_state(checkpoint);
  const std::string command = state.value("command", config_.command);
  if (command != config_.command) {
    throw UserError("{}: is of a run of `crescendo {}`; expected one of `crescendo {}`",
                    checkpoint.string(), command, config_.command);
  }
  accept_config_changes(
      config_changes(state.value("config", nlohmann::json::object()), config_.values,
                     config_.defaults, state.value("ranks", 1), config_.ranks),
      resume_.allow_config_change);
  if (state.value("versions", nlohmann::json()) != versions()) {
    log::warn("{}: was written by {}, this is {}; the run may go on with other last digits",
              checkpoint.string(), state.value("versions", nlohmann::json()).dump(),
              versions().dump());
  }
  return state;
}

std::int64_t RunFolder::resume(const Load& load) {
  std::vector<CheckpointFolder> candidates = list_checkpoints(path_);
  const bool named = !resume_.from.empty();
  if (named) candidates = {{0, resume_.from}};
  for (const CheckpointFolder& checkpoint : candidates) {
    try {
      verify_checkpoint(checkpoint.path);
      const nlohmann::json state = read_state(checkpoint.path);
      load(checkpoint.path, state);
      const auto step = state["step"].get<std::int64_t>();
      log::info("resumes at step {} from {}", step, checkpoint.path.string());
      return begin_at(step);
    } catch (const DataError& failure) {
      if (named) throw;
      log::warn("passes over a damaged checkpoint: {}", failure.what());
    }
  }
  if (!candidates.empty()) {
    throw UserError("{}: none of its {} checkpoints can be loaded; begin anew in another folder",
                    (path_ / "checkpoints").string(), candidates.size());
  }
  if (fs::exists(path_ / "metrics.jsonl")) {
    log::info("{}: no checkpoint yet; begins at step 0", path_.string());
  }
  return begin_at(0);
}

std::int64_t RunFolder::begin_at(std::int64_t step) {
  // In this order: a kill in between leaves nothing that a later checkpoint would miss.
  set_aside_checkpoints_after(step);
  metrics_.forget_after(step > 0 ? step : -1);  // a new run measures at step 0, too
  std::error_code ignored;
  fs::remove(path_ / kFinishedFile, ignored);
  write_file_atomically(path_ / "config.toml", config_.toml);
  begin_ = step;
  return step;
}

void RunFolder::save_checkpoint(std::int64_t step, const nlohmann::json& state,
                                const std::map<std::string, TensorMap>& files) {
  writer_.start(step, [&] {
    Checkpoint checkpoint{.step = step, .state = state, .files = copy_to_host(files)};
    checkpoint.state["command"] = config_.command;
    checkpoint.state["config"] = config_.values;
    checkpoint.state["ranks"] = config_.ranks;
    checkpoint.state["versions"] = versions();
    return checkpoint;
  });
}

BestStep RunFolder::best_of(const nlohmann::json& state) const {
  const BestStep best = BestStep::from(state);
  // A newer one, which is damaged and was passed over, may have taken its place.
  if (best.step > 0 && !fs::exists(checkpoint_path(path_, best.step))) {
    log::warn("the best checkpoint, of step {}, is gone; the next held-out loss begins anew",
              best.step);
    return {};
  }
  return best;
}

fs::path RunFolder::best_checkpoint() {
  writer_.wait();
  const std::vector<CheckpointFolder> all = list_checkpoints(path_);
  if (all.empty()) return {};
  const BestStep best = best_of(read_checkpoint_state(all[0].path));
  return best.step > 0 ? checkpoint_path(path_, best.step) : fs::path();
}

std::int64_t RunFolder::saved_step() {
  writer_.wait();
  return std::max(begin_, writer_.written_step());
}

void RunFolder::require_saved() {
  writer_.wait();
  if (writer_.failure().empty()) return;
  throw UserError(
      "the last checkpoint could not be written: {}; the newest whole one is of step {}",
      writer_.failure(), saved_step());
}

void RunFolder::finish(std::int64_t step) {
  require_saved();
  write_file_atomically(path_ / kFinishedFile, finished_mark(step));
}

void RunFolder::write(const Checkpoint& checkpoint) const {
  if (!fs::exists(path_)) log::error("{}: the folder has vanished; makes it anew", path_.string());
  write_checkpoint(checkpoint_path(path_, checkpoint.step), checkpoint);
  try {
    delete_old_checkpoints(BestStep::from(checkpoint.state).step);
  } catch (const UserError& failure) {
    log::warn("old checkpoints stay: {}", failure.what());
  }
}

void RunFolder::delete_old_checkpoints(std::int64_t best) const {
  if (checkpoint_.keep == 0) return;
  const std::vector<CheckpointFolder> all = list_checkpoints(path_);
  for (auto i = static_cast<std::size_t>(checkpoint_.keep); i < all.size(); ++i) {
    const bool kept = checkpoint_.keep_every > 0 && all[i].step % checkpoint_.keep_every == 0;
    if (!kept && all[i].step != best) delete_checkpoint(all[i].path);
  }
}

void RunFolder::set_aside_checkpoints_after(std::int64_t step) const {
  for (const CheckpointFolder& later : list_checkpoints(path_)) {
    if (later.step <= step) continue;
    const fs::path aside = later.path.string() + kAbandonedSuffix;
    std::error_code error;
    fs::remove_all(aside, error);
    fs::rename(later.path, aside, error);
    if (error) throw UserError("{}: cannot be renamed: {}", later.path.string(), error.message());
    log::info("sets the later checkpoint aside as {}", aside.string());
  }
}

}  // namespace crescendo::pipelines
