#include "pipelines/run_folder.h"

#include <algorithm>
#include <charconv>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/fields.h"
#include "core/log.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kStepPrefix = "step-";
constexpr const char* kStateFile = "state.json";
constexpr const char* kAbandonedSuffix = ".abandoned";  ///< no longer listed

/// The step in "step-00000200", or nothing.
std::optional<std::int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kStepPrefix)) return std::nullopt;
  std::int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [last, error] = std::from_chars(name.data() + kStepPrefix.size(), end, step);
  if (error != std::errc() || last != end) return std::nullopt;
  return step;
}

std::int64_t step_in(const nlohmann::json& state, const fs::path& file) {
  if (state.is_object() && state.contains("step") && state["step"].is_number_unsigned()) {
    return state["step"].get<std::int64_t>();
  }
  throw DataError("{}: expected the state of a checkpoint, with its \"step\"", file.string());
}

}  // namespace

std::vector<CheckpointFolder> list_checkpoints(const fs::path& run) {
  std::vector<CheckpointFolder> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run / "checkpoints", error)) {
    const auto step = step_of(entry.path().filename().string());
    if (step && entry.is_directory(error)) found.push_back({*step, entry.path()});
  }
  std::ranges::sort(found, std::ranges::greater(), &CheckpointFolder::step);
  return found;
}

RunFolder::RunFolder(const RunOptions& run, const CheckpointOptions& checkpoint,
                     const std::string& config, Resume resume)
    : path_(run.output_dir), seed_(run.seed), keep_(checkpoint.keep), resume_(std::move(resume)) {
  if (run.output_dir.empty()) {
    throw UserError(
        "run.output_dir: expected the folder to write the run to, found none; set it in [run] or "
        "with --set run.output_dir=FOLDER");
  }
  const bool used = !list_checkpoints(path_).empty() || fs::exists(path_ / "model");
  if (used && !resume_.wanted) {
    throw UserError(
        "{}: already holds a run; go on with --resume, or choose another run.output_dir",
        path_.string());
  }
  write_file_atomically(path_ / "config.toml", config);
  remove_leftovers();
  log::also_to_file(path_ / "log.txt");
  if (resume_.wanted) {
    open_metrics();
  } else {
    forget_metrics_after(0);
  }
}

std::int64_t RunFolder::resume(
    const std::function<void(const fs::path&, const nlohmann::json&)>& load) {
  if (!resume_.wanted) return 0;
  std::vector<CheckpointFolder> candidates = list_checkpoints(path_);
  const bool named = !resume_.from.empty();
  if (named) candidates = {{0, resume_.from}};
  for (const CheckpointFolder& checkpoint : candidates) {
    try {
      const fs::path file = checkpoint.path / kStateFile;
      if (!fs::exists(file)) throw DataError("{}: the file is missing", file.string());
      const nlohmann::json state = read_json_file(file);
      const std::int64_t step = step_in(state, file);
      if (state.value("seed", seed_) != seed_) {
        throw UserError("run.seed: expected {}, as in the run to resume, found {}",
                        state["seed"].dump(), seed_);
      }
      load(checkpoint.path, state);
      log::info("resumes at step {} from {}", step, checkpoint.path.string());
      forget_metrics_after(step);
      set_aside_checkpoints_after(step);
      return step;
    } catch (const DataError& failure) {
      if (named) throw;
      log::warn("passes over a damaged checkpoint: {}", failure.what());
    }
  }
  if (!candidates.empty()) {
    throw UserError("{}: none of its {} checkpoints can be loaded; begin anew in another folder",
                    (path_ / "checkpoints").string(), candidates.size());
  }
  log::info("{}: no checkpoint yet; begins at step 0", path_.string());
  forget_metrics_after(0);
  return 0;
}

void RunFolder::save_checkpoint(std::int64_t step, const nlohmann::json& state,
                                const std::function<void(const fs::path&)>& fill) {
  const fs::path folder = path_ / "checkpoints" / fmt::format("{}{:08}", kStepPrefix, step);
  metrics_.flush();
  write_folder_atomically(folder, [&](const fs::path& temporary) {
    fill(temporary);
    nlohmann::json whole = state;
    whole["step"] = step;
    whole["seed"] = seed_;
    write_file_atomically(temporary / kStateFile, whole.dump(2) + "\n");
  });
  if (keep_ == 0) return;
  const std::vector<CheckpointFolder> all = list_checkpoints(path_);
  for (auto i = static_cast<std::size_t>(keep_); i < all.size(); ++i) {
    std::error_code error;
    fs::remove_all(all[i].path, error);
    if (error) log::warn("{}: cannot be deleted: {}", all[i].path.string(), error.message());
  }
}

void RunFolder::open_metrics() {
  const fs::path file = path_ / "metrics.jsonl";
  metrics_.open(file, std::ios::app);
  if (!metrics_) throw UserError("{}: cannot be written", file.string());
}

void RunFolder::log_metrics(const nlohmann::ordered_json& line) {
  metrics_ << line.dump() << '\n' << std::flush;
  if (!metrics_) {
    throw UserError("{}: cannot be written; is the disk full?", (path_ / "metrics.jsonl").string());
  }
}

void RunFolder::remove_leftovers() const {
  for (const fs::path& folder : {path_, path_ / "checkpoints"}) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder, error)) {
      if (is_temporary_name(entry.path())) fs::remove_all(entry.path(), error);
    }
  }
}

void RunFolder::forget_metrics_after(std::int64_t step) {
  const fs::path file = path_ / "metrics.jsonl";
  metrics_.close();  // the file is replaced
  std::ifstream lines(file);
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
    // A line that the kill cut short is not one.
    if (entry.is_object() && entry.value("step", step + 1) <= step) kept += line + "\n";
  }
  write_file_atomically(file, kept);
  open_metrics();
}

void RunFolder::set_aside_checkpoints_after(std::int64_t step) {
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
