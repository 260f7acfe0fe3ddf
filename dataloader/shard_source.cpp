#include "dataloader/shard_source.h"

#include <cerrno>
#include <cstring>

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/error.h"
#include "dataloader/command_source.h"
#include "dataloader/descriptor.h"

namespace crescendo::dataloader {

namespace {

constexpr std::string_view kPipe = "pipe:";

/// A FIFO or standard input, which may keep one waiting.
class WaitingSource final : public ByteSource {
 public:
  WaitingSource(std::string name, Descriptor descriptor, std::chrono::seconds timeout)
      : name_(std::move(name)), descriptor_(std::move(descriptor)), timeout_(timeout) {}

  std::size_t read(std::span<std::byte> out) override {
    if (!wait_for_bytes(descriptor_.get(), timeout_)) {
      throw DataError("{}: no bytes for {} seconds (data.pipe_timeout)", name_, timeout_.count());
    }
    return read_some(descriptor_.get(), out, name_);
  }

 private:
  std::string name_;
  Descriptor descriptor_;
  std::chrono::seconds timeout_;
};

bool is_fifo(const std::string& path) {
  struct stat status {};
  return ::stat(path.c_str(), &status) == 0 && S_ISFIFO(status.st_mode);
}

}  // namespace

bool is_command(std::string_view shard) { return shard.starts_with(kPipe); }

bool is_standard_input(std::string_view shard) { return shard == "-"; }

std::unique_ptr<ByteSource> open_shard(const std::string& shard, std::chrono::seconds timeout) {
  if (is_command(shard)) return run_command(shard.substr(kPipe.size()), shard, timeout);
  const bool fifo = is_fifo(shard);
  if (!fifo && !is_standard_input(shard)) return open_file(shard);
  // Not to wait here for the writer of a FIFO, but where the time is limited.
  Descriptor descriptor(fifo ? ::open(shard.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)
                             : ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0));
  if (descriptor.get() < 0) throw UserError("{}: cannot open: {}", shard, std::strerror(errno));
  return std::make_unique<WaitingSource>(fifo ? shard : "standard input", std::move(descriptor),
                                         timeout);
}

}  // namespace crescendo::dataloader
