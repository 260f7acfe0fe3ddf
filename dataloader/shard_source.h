#pragma once

#include <chrono>
#include <memory>
#include <string>
#include <string_view>

#include "dataloader/byte_source.h"

namespace crescendo::dataloader {

/// What data.pipe_timeout is unless told.
constexpr std::chrono::seconds kPipeTimeout{300};

/// Where shards come from that are no files: "pipe:COMMAND", whose output is the tar, and "-",
/// which is standard input.
bool is_command(std::string_view shard);
bool is_standard_input(std::string_view shard);

/// The bytes of a shard: of a file (a FIFO too), of a command or of standard input. One that is no
/// regular file and silent for longer than `timeout` is a DataError. Throws UserError when it
/// cannot be opened.
std::unique_ptr<ByteSource> open_shard(const std::string& shard, std::chrono::seconds timeout);

}  // namespace crescendo::dataloader
