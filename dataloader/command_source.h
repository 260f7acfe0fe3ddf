#pragma once

#include <chrono>
#include <memory>
#include <string>

#include "dataloader/byte_source.h"

namespace crescendo::dataloader {

/// The standard output of a command that /bin/sh runs in a process group of its own, with nothing
/// to read. At the end of the output, an exit code other than 0, or than 141 (a stage of a pipeline
/// had nobody left to read it), is a DataError with the code and the last line of standard error. A
/// command whose output is silent for longer than `timeout`, or that outlives the source, is killed
/// with its group. `name` stands for it in errors.
std::unique_ptr<ByteSource> run_command(const std::string& command, std::string name,
                                        std::chrono::seconds timeout);

}  // namespace crescendo::dataloader
