#include "pipelines/runs/metrics_log.h"

#include <cerrno>
#include <cstring>
#include <sstream>
#include <system_error>

#include <fcntl.h>
#include <unistd.h>

#include "core/atomic_file.h"
#include "core/log.h"

namespace crescendo::pipelines {

namespace {

constexpr std::size_t kMaxPending = 64 << 20;  // bytes
constexpr std::int64_t kSilentFailures = 1000;

}  // namespace

void MetricsLog::append(const nlohmann::ordered_json& line) {
  if (pending_.size() < kMaxPending) pending_ += line.dump() + '\n';
  if (flush()) {
    if (failures_ > 0) log::info("{}: is written again", path_.string());
    failures_ = 0;
  } else if (failures_++ % kSilentFailures == 0) {
    log::error("{}: cannot be written: {}; training goes on, its lines are kept for later",
               path_.string(), std::strerror(errno));
  }
}

bool MetricsLog::flush() {
  // Opened anew each time: a folder that was deleted and is there again gets its lines.
  const int descriptor = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0644);
  if (descriptor < 0) return false;
  while (!pending_.empty()) {
    const ssize_t written = ::write(descriptor, pending_.data(), pending_.size());
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) break;
    pending_.erase(0, static_cast<std::size_t>(written));
  }
  const int code = errno;
  ::close(descriptor);
  errno = code;
  return pending_.empty();
}

void MetricsLog::forget_after(std::int64_t step) {
  // Not a stream of the file: one that cannot be read is not an empty one.
  std::istringstream lines(std::filesystem::exists(path_) ? read_file(path_) : "");
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    const nlohmann::json entry = nlohmann::json::parse(line, nullptr, false);
    if (entry.is_object() && entry.value("step", step + 1) <= step) kept += line + "\n";
  }
  write_file_atomically(path_, kept);
}

}  // namespace crescendo::pipelines
