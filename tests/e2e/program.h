#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include <sys/types.h>

#include "tests/core/temporary_folder.h"

namespace crescendo::e2e {

/// What a program said and how it ended.
struct Outcome {
  int exit_code = -1;  ///< -1 when a signal ended it
  int signal = 0;
  std::string out;
  std::string err;
};

/// The `crescendo` binary of this build, under way with these arguments.
class Program {
 public:
  /// `input` is the file that is its standard input; `environment` adds to ours, "NAME=VALUE".
  explicit Program(const std::vector<std::string>& arguments,
                   const std::filesystem::path& input = "/dev/null",
                   const std::vector<std::string>& environment = {});
  /// The same as `count` ranks that mpirun starts; `others` adds more, each with its own arguments.
  static Program on_ranks(int count, const std::vector<std::string>& arguments,
                          const std::vector<std::vector<std::string>>& others = {});
  ~Program();
  Program(const Program&) = delete;
  Program& operator=(const Program&) = delete;

  /// True once it has ended by itself.
  bool ended();

  /// Ends it at once, with SIGKILL.
  void kill() const;

  void send(int signal) const;

  /// The processes that it has started: of mpirun, the ranks in their order.
  std::vector<pid_t> children() const;

  /// What it has said on standard error so far.
  std::string errors() const;

  Outcome wait();

 private:
  struct Command {
    std::vector<std::string> words;
    std::vector<std::string> environment;  ///< whole
  };
  Program(Command command, const std::filesystem::path& input);

  TemporaryFolder folder_;
  pid_t process_ = -1;
  int status_ = 0;
  bool reaped_ = false;
};

/// Whether there is an mpirun here.
bool has_mpirun();

/// Runs it to its end.
Outcome crescendo(const std::vector<std::string>& arguments,
                  const std::filesystem::path& input = "/dev/null");

/// The first line of standard error that begins with "error: ", without that; "" when there is
/// none.
std::string error_line(const Outcome& outcome);

/// Expects a mistake of the user: exit code 2, `text` in what is told of it, and no other output.
void expect_error(const Outcome& outcome, const std::string& text);

/// The whole of a file; fails the test when there is none.
std::string content_of(const std::filesystem::path& path);

}  // namespace crescendo::e2e
