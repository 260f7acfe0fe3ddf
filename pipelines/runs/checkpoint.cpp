#include "pipelines/runs/checkpoint.h"

#include <algorithm>
#include <charconv>
#include <future>
#include <map>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/fields.h"
#include "core/log.h"
#include "dataloader/plain_file.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

constexpr std::string_view kStepPrefix = "step-";
constexpr const char* kStateFile = "state.json";
constexpr const char* kBest = "best";  ///< in the state
constexpr const char* kManifestFile = "manifest.json";

/// The step in "step-00000200", or nothing.
std::optional<std::int64_t> step_of(const std::string& name) {
  if (!name.starts_with(kStepPrefix)) return std::nullopt;
  std::int64_t step = 0;
  const char* end = name.data() + name.size();
  const auto [last, error] = std::from_chars(name.data() + kStepPrefix.size(), end, step);
  if (error != std::errc() || last != end) return std::nullopt;
  return step;
}

struct FileRecord {
  std::uint64_t bytes = 0;
  std::string crc32;
  bool operator==(const FileRecord&) const = default;
};

FileRecord record_of(const fs::path& path) {
  const dataloader::PlainFile file(path);
  return {file.size(), fmt::format("{:08x}", file.crc32(0, file.size()))};
}

void require_file(const fs::path& path) {
  if (!fs::is_regular_file(path)) throw DataError("{}: the file is missing", path.string());
}

/// The records of manifest.json.
std::map<std::string, FileRecord> read_manifest(const fs::path& folder) {
  const fs::path path = folder / kManifestFile;
  require_file(path);
  const nlohmann::json manifest = read_json_file(path);
  std::map<std::string, FileRecord> records;
  try {
    for (const auto& [name, record] : manifest.at("files").items()) {
      records[name] = {record.at("bytes").get<std::uint64_t>(),
                       record.at("crc32").get<std::string>()};
    }
  } catch (const nlohmann::json::exception& failure) {
    throw DataError("{}: expected the files of a checkpoint ({})", path.string(), failure.what());
  }
  if (!records.contains(kStateFile)) {
    throw DataError("{}: expected the files of a checkpoint, found no {}", path.string(),
                    kStateFile);
  }
  return records;
}

}  // namespace

void BestStep::add_to(nlohmann::json& state) const {
  state[kBest] = {{"step", step}, {"loss", loss}, {"set", set}};
}

BestStep BestStep::from(const nlohmann::json& state) {
  if (!state.contains(kBest)) return {};
  try {
    const nlohmann::json& best = state[kBest];
    return {best.at("step").get<std::int64_t>(), best.at("loss").get<double>(),
            best.at("set").get<std::string>()};
  } catch (const nlohmann::json::exception& failure) {
    throw DataError("checkpoint state: {}: malformed ({})", kBest, failure.what());
  }
}

std::vector<CheckpointFolder> list_checkpoints(const fs::path& run) {
  std::vector<CheckpointFolder> found;
  const fs::path folder = run / "checkpoints";
  std::error_code error;
  fs::directory_iterator entry(folder, error);
  for (; !error && entry != fs::directory_iterator(); entry.increment(error)) {
    const auto step = step_of(entry->path().filename().string());
    if (step && entry->is_directory()) found.push_back({*step, entry->path()});
  }
  if (error && error != std::errc::no_such_file_or_directory) {
    throw UserError("{}: cannot be read: {}", folder.string(), error.message());
  }
  std::ranges::sort(found, std::ranges::greater(), &CheckpointFolder::step);
  return found;
}

fs::path checkpoint_path(const fs::path& run, std::int64_t step) {
  return run / "checkpoints" / fmt::format("{}{:08}", kStepPrefix, step);
}

std::map<std::string, TensorMap> copy_to_host(const std::map<std::string, TensorMap>& files) {
  std::map<std::string, TensorMap> copies;
  for (const auto& [name, tensors] : files) {
    for (const auto& [key, tensor] : tensors) {
      copies[name].emplace(key, tensor.detach().to(at::kCPU, false, /*copy=*/true));
    }
  }
  return copies;
}

void write_checkpoint(const fs::path& folder, const Checkpoint& checkpoint) {
  write_folder_atomically(folder, [&](const fs::path& temporary) {
    std::map<std::string, std::future<FileRecord>> pending;  // read while the next is written
    const auto record = [&](const std::string& name) {
      pending[name] = std::async(std::launch::async, record_of, temporary / name);
    };
    for (const auto& [name, tensors] : checkpoint.files) {
      save_tensors(temporary / name, tensors, {{"format", "pt"}});
      record(name);
    }
    nlohmann::json state = checkpoint.state;
    state["step"] = checkpoint.step;
    write_file_atomically(temporary / kStateFile, state.dump(2) + "\n");
    record(kStateFile);
    nlohmann::json records;
    for (auto& [name, future] : pending) {
      const FileRecord found = future.get();
      records[name] = {{"bytes", found.bytes}, {"crc32", found.crc32}};
    }
    write_file_atomically(temporary / kManifestFile,
                          nlohmann::json{{"files", std::move(records)}}.dump(2) + "\n");
  });
}

nlohmann::json read_checkpoint_state(const fs::path& folder) {
  const fs::path file = folder / kStateFile;
  require_file(file);
  nlohmann::json state = read_json_file(file);
  if (!state.is_object() || !state.contains("step") || !state["step"].is_number_unsigned()) {
    throw DataError("{}: expected the state of a checkpoint, with its \"step\"", file.string());
  }
  return state;
}

void verify_checkpoint(const fs::path& folder) {
  for (const auto& [name, expected] : read_manifest(folder)) {
    const fs::path path = folder / name;
    require_file(path);
    const FileRecord found = record_of(path);
    if (found == expected) continue;
    throw DataError(
        "{}: is not as it was written; expected {} bytes with CRC-32 {}, found {} with {}",
        path.string(), expected.bytes, expected.crc32, found.bytes, found.crc32);
  }
}

std::optional<CheckpointFolder> newest_whole_checkpoint(const fs::path& run) {
  for (const CheckpointFolder& checkpoint : list_checkpoints(run)) {
    try {
      verify_checkpoint(checkpoint.path);
      return checkpoint;
    } catch (const DataError& failure) {
      log::warn("passes over a damaged checkpoint: {}", failure.what());
    }
  }
  return std::nullopt;
}

void delete_checkpoint(const fs::path& folder) {
  std::error_code error;
  const fs::path doomed = folder.string() + ".old.crescendo-tmp";
  fs::rename(folder, doomed, error);
  if (!error) fs::remove_all(doomed, error);
  if (error) log::warn("{}: cannot be deleted: {}", folder.string(), error.message());
}

}  // namespace crescendo::pipelines
