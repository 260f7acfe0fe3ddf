#pragma once

#include <filesystem>

#include <spdlog/spdlog.h>

namespace crescendo::log {

// What a job says to its user, on standard error, one line an event. Results go to standard
// output, which pipelines/cli alone writes.
using spdlog::error;
using spdlog::info;
using spdlog::warn;

/// Sends every later line to standard error in the project's format; `quiet` keeps warnings and
/// errors only.
void start(bool quiet);

/// Also appends every later line, with its time, to a file (a run's log.txt).
void also_to_file(const std::filesystem::path& path);

}  // namespace crescendo::log
