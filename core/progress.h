#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

namespace crescendo {

/// One line of progress on standard error: `label 37% 370/1000 [====>   ] 12.3 images/s 0:51 left
/// note`. On a terminal it redraws itself at most ten times a second, and keeps to its width;
/// elsewhere (a log file, CI) it prints a line every ten seconds, so that long work is never
/// silent.
class Progress {
 public:
  /// `total` and `done` count `unit`s; total = 0 means unknown. `start` is where a resumed job
  /// begins.
  Progress(std::string label, std::uint64_t total, std::string unit, std::uint64_t start = 0);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  /// `note` is appended to the line: loss, stage, whatever changes, ASCII. A narrow terminal leaves
  /// out what comes last of it; two spaces stand between what belongs not together.
  void update(std::uint64_t done, std::string_view note = {});

  /// Units a second since the start of this process' part of the work.
  double rate() const;

  /// Erases the line on a terminal, so that a log line can take its place.
  static void wipe_line();

  /// No progress is printed from now on (--quiet).
  static void silence();

 private:
  void draw(std::string_view note, bool last);

  std::string label_;
  std::string unit_;
  std::uint64_t total_;
  std::uint64_t start_;
  std::uint64_t done_;
  std::string note_;
  bool terminal_;
  std::chrono::steady_clock::time_point began_;
  std::chrono::steady_clock::time_point drawn_;
};

/// "0:51", "1:02:03".
std::string format_duration(double seconds);

}  // namespace crescendo
