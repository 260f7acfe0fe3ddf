#include "tests/e2e/program.h"

#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>
#include <system_error>

#include <fcntl.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

namespace crescendo::e2e {

namespace {

/// Pointers to words that stay where they are, and a null.
std::vector<char*> pointers_to(std::vector<std::string>& words) {
  std::vector<char*> pointers;
  for (std::string& word : words) pointers.push_back(word.data());
  pointers.push_back(nullptr);
  return pointers;
}

std::vector<std::string> with_ours(std::vector<std::string> settings) {
  for (char** setting = environ; *setting != nullptr; ++setting) settings.emplace_back(*setting);
  return settings;
}

std::vector<std::string> words_of(std::vector<std::string> words,
                                  const std::vector<std::string>& arguments) {
  words.emplace_back(CRESCENDO_BINARY);
  words.insert(words.end(), arguments.begin(), arguments.end());
  return words;
}

}  // namespace

Program::Program(const std::vector<std::string>& arguments, const std::filesystem::path& input,
                 const std::vector<std::string>& environment)
    : Program(Command{words_of({}, arguments), with_ours(environment)}, input) {}

Program Program::on_ranks(int count, const std::vector<std::string>& arguments,
                          const std::vector<std::vector<std::string>>& others) {
  std::vector<std::string> words = words_of(
      {CRESCENDO_SOURCE_DIR "/tests/pipelines/distributed/on_ranks.sh", std::to_string(count)},
      arguments);
  for (const auto& other : others) {
    for (const char* word : {":", "-n", "1"}) words.emplace_back(word);
    words = words_of(std::move(words), other);
  }
  return Program(Command{std::move(words), with_ours({})}, "/dev/null");
}

Program::Program(Command command, const std::filesystem::path& input) {
  auto& [words, settings] = command;
  constexpr int kWrite = O_WRONLY | O_CREAT | O_TRUNC;
  const std::string out = (folder_ / "out").string();
  const std::string err = (folder_ / "err").string();
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, STDIN_FILENO, input.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, STDOUT_FILENO, out.c_str(), kWrite, 0644);
  posix_spawn_file_actions_addopen(&files, STDERR_FILENO, err.c_str(), kWrite, 0644);
  const int error = posix_spawn(&process_, words[0].c_str(), &files, nullptr,
                                pointers_to(words).data(), pointers_to(settings).data());
  posix_spawn_file_actions_destroy(&files);
  if (error != 0) throw std::system_error(error, std::generic_category(), words[0]);
}

Program::~Program() {
  if (reaped_) return;
  kill();
  ::waitpid(process_, &status_, 0);
}

bool Program::ended() {
  if (!reaped_) reaped_ = ::waitpid(process_, &status_, WNOHANG) == process_;
  return reaped_;
}

void Program::kill() const { send(SIGKILL); }

void Program::send(int signal) const {
  if (!reaped_) ::kill(process_, signal);
}

std::vector<pid_t> Program::children() const {
  std::ifstream list(fmt::format("/proc/{0}/task/{0}/children", process_));
  return {std::istream_iterator<pid_t>(list), {}};
}

std::string Program::errors() const { return content_of(folder_ / "err"); }

Outcome Program::wait() {
  while (!reaped_) {
    reaped_ = ::waitpid(process_, &status_, 0) == process_;
    if (!reaped_ && errno != EINTR) {
      throw std::system_error(errno, std::generic_category(), "waitpid");
    }
  }
  Outcome outcome;
  if (WIFEXITED(status_)) outcome.exit_code = WEXITSTATUS(status_);
  if (WIFSIGNALED(status_)) outcome.signal = WTERMSIG(status_);
  outcome.out = content_of(folder_ / "out");
  outcome.err = content_of(folder_ / "err");
  return outcome;
}

bool has_mpirun() { return std::system("command -v mpirun >/dev/null") == 0; }

Outcome crescendo(const std::vector<std::string>& arguments, const std::filesystem::path& input) {
  return Program(arguments, input).wait();
}

std::string error_line(const Outcome& outcome) {
  const std::string mark = "error: ";
  std::istringstream lines(outcome.err);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(mark)) return line.substr(mark.size());
  }
  return "";
}

void expect_error(const Outcome& outcome, const std::string& text) {
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  const std::string line = error_line(outcome);
  const std::string& told = line.empty() ? outcome.err : line;  // the flags' have no "error: "
  EXPECT_NE(told.find(text), std::string::npos)
      << "expected: " << text << "\nfound: " << outcome.err;
  EXPECT_EQ(outcome.out, "");
}

std::string content_of(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  EXPECT_TRUE(stream.good()) << path;
  return {std::istreambuf_iterator<char>(stream), {}};
}

}  // namespace crescendo::e2e
