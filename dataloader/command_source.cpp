#include "dataloader/command_source.h"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string_view>

#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/error.h"
#include "core/interruption.h"
#include "core/text.h"
#include "dataloader/descriptor.h"

namespace crescendo::dataloader {

namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kErrorBytes = 4096;  // kept of what the command complains
constexpr int kBrokenPipe = 128 + SIGPIPE;

struct Pipe {
  Descriptor read;
  Descriptor write;
};

Pipe make_pipe(const std::string& name) {
  std::array<int, 2> ends{};
  if (::pipe2(ends.data(), O_CLOEXEC) != 0) {
    throw UserError("{}: cannot make a pipe: {}", name, std::strerror(errno));
  }
  return {Descriptor(ends[0]), Descriptor(ends[1])};
}

/// /bin/sh -c COMMAND, in its own process group.
pid_t spawn(const std::string& command, const std::string& name, int output, int errors) {
  posix_spawn_file_actions_t files;
  posix_spawnattr_t attributes;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&files, output, STDOUT_FILENO);
  posix_spawn_file_actions_adddup2(&files, errors, STDERR_FILENO);
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  posix_spawnattr_setpgroup(&attributes, 0);
  sigset_t defaults;
  sigemptyset(&defaults);
  sigaddset(&defaults, SIGPIPE);
  posix_spawnattr_setsigdefault(&attributes, &defaults);
  std::array<std::string, 3> words{"sh", "-c", command};
  std::array<char*, 4> arguments{words[0].data(), words[1].data(), words[2].data(), nullptr};
  pid_t child = 0;
  const int status =
      ::posix_spawn(&child, "/bin/sh", &files, &attributes, arguments.data(), environ);
  posix_spawnattr_destroy(&attributes);
  posix_spawn_file_actions_destroy(&files);
  if (status != 0) throw UserError("{}: cannot run: {}", name, std::strerror(status));
  return child;
}

class CommandSource final : public ByteSource {
 public:
  CommandSource(const std::string& command, std::string name, std::chrono::seconds timeout)
      : name_(std::move(name)), timeout_(timeout) {
    Pipe output = make_pipe(name_);
    Pipe errors = make_pipe(name_);
    child_ = spawn(command, name_, output.write.get(), errors.write.get());
    output_ = std::move(output.read);
    errors_ = std::move(errors.read);
  }
  ~CommandSource() override { end(); }
  CommandSource(const CommandSource&) = delete;
  CommandSource& operator=(const CommandSource&) = delete;

  std::size_t read(std::span<std::byte> out) override {
    const Clock::time_point limit = Clock::now() + timeout_;
    while (output_.is_open()) {
      if (!wait(limit)) fail_silent();
      if (!output_ready_) continue;
      const std::size_t count = read_some(output_.get(), out, name_);
      if (count > 0) return count;
      output_.close();
    }
    if (child_ > 0) check_exit(limit);
    return 0;
  }

 private:
  /// Waits for output, taking in complaints meanwhile; false past the limit.
  bool wait(Clock::time_point limit) {
    output_ready_ = false;
    throw_if_stopped();
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(limit - Clock::now());
    if (left.count() <= 0) return false;
    // Of a closed one poll takes no notice: its number is negative.
    std::array<pollfd, 2> entries{pollfd{output_.get(), POLLIN, 0}, {errors_.get(), POLLIN, 0}};
    // A command that has closed its output is about to end.
    const std::chrono::milliseconds look =
        output_.is_open() ? kLook : std::chrono::milliseconds(10);
    const int ready =
        ::poll(entries.data(), entries.size(), static_cast<int>(std::min(left, look).count()));
    if (ready <= 0) return true;
    if (entries[1].revents != 0) take_errors();
    output_ready_ = entries[0].revents != 0;
    return true;
  }

  void take_errors() {
    std::array<std::byte, kErrorBytes> buffer;
    const std::size_t count = read_some(errors_.get(), buffer, name_);
    if (count == 0) errors_.close();
    complaint_.append(reinterpret_cast<const char*>(buffer.data()), count);
    if (complaint_.size() > kErrorBytes) complaint_.erase(0, complaint_.size() - kErrorBytes);
  }

  /// Waits for the command's end, so that all it had to say is heard.
  void check_exit(Clock::time_point limit) {
    siginfo_t info{};
    for (;;) {
      // WNOWAIT: until it is collected in end(), its group's number stays its own.
      if (::waitid(P_PID, static_cast<id_t>(child_), &info, WEXITED | WNOWAIT | WNOHANG) != 0) {
        throw UserError("{}: cannot wait for it: {}", name_, std::strerror(errno));
      }
      if (info.si_pid == child_) break;
      if (!wait(limit)) fail_silent();
    }
    drain_errors();
    end();
    const bool exited = info.si_code == CLD_EXITED;
    const int code = info.si_status;
    if (exited ? code == 0 || code == kBrokenPipe : code == SIGPIPE) return;
    throw DataError("{}: the command {} {}{}", name_,
                    exited ? "failed with exit code" : "was ended by signal", code,
                    last_complaint());
  }

  /// Takes what is there; a background process may hold the other end for ever.
  void drain_errors() {
    while (errors_.is_open() && wait_for_bytes(errors_.get(), std::chrono::milliseconds(0))) {
      take_errors();
    }
  }

  [[noreturn]] void fail_silent() {
    end();
    throw DataError("{}: no bytes for {} seconds (data.pipe_timeout), the command was killed{}",
                    name_, timeout_.count(), last_complaint());
  }

  std::string last_complaint() const {
    const std::string_view text = trim(complaint_);
    const std::size_t line = text.rfind('\n');
    const std::string_view last = line == std::string_view::npos ? text : text.substr(line + 1);
    return last.empty() ? "" : fmt::format(": {}", last);
  }

  void end() {
    if (child_ <= 0) return;
    ::kill(-child_, SIGKILL);
    while (::waitpid(child_, nullptr, 0) < 0 && errno == EINTR) {
    }
    child_ = 0;
  }

  std::string name_;
  std::chrono::seconds timeout_;
  pid_t child_ = 0;
  Descriptor output_;
  Descriptor errors_;
  bool output_ready_ = false;
  std::string complaint_;  ///< the end of standard error
};

}  // namespace

std::unique_ptr<ByteSource> run_command(const std::string& command, std::string name,
                                        std::chrono::seconds timeout) {
  return std::make_unique<CommandSource>(command, std::move(name), timeout);
}

}  // namespace crescendo::dataloader
