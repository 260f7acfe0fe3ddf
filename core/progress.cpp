#include "core/progress.h"

#include <algorithm>
#include <cstdio>

#include <fmt/format.h>
#include <unistd.h>

namespace crescendo {

namespace {

using Clock = std::chrono::steady_clock;

bool silenced = false;

double seconds_since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

}  // namespace

std::string format_duration(double seconds) {
  const auto total = static_cast<std::int64_t>(seconds + 0.5);
  const auto hours = total / 3600;
  const auto minutes = total / 60 % 60;
  return hours > 0 ? fmt::format("{}:{:02}:{:02}", hours, minutes, total % 60)
                   : fmt::format("{}:{:02}", minutes, total % 60);
}

Progress::Progress(std::string label, std::uint64_t total, std::string unit, std::uint64_t start)
    : label_(std::move(label)),
      unit_(std::move(unit)),
      total_(total),
      start_(start),
      done_(start),
      terminal_(::isatty(STDERR_FILENO) == 1),
      began_(Clock::now()),
      drawn_(began_) {}

Progress::~Progress() {
  if (done_ > start_) draw(note_, true);
}

void Progress::update(std::uint64_t done, std::string_view note) {
  done_ = done;
  note_ = note;
  if (seconds_since(drawn_) >= (terminal_ ? 0.1 : 10.0)) draw(note_, false);
}

double Progress::rate() const {
  const double elapsed = seconds_since(began_);
  return elapsed > 0 ? static_cast<double>(done_ - start_) / elapsed : 0;
}

void Progress::wipe_line() {
  if (::isatty(STDERR_FILENO) == 1) std::fputs("\r\033[K", stderr);
}

void Progress::silence() { silenced = true; }

void Progress::draw(std::string_view note, bool last) {
  drawn_ = Clock::now();
  if (silenced) return;
  const double per_second = rate();
  std::string line = label_;
  if (total_ > 0) {
    const double share = std::min(static_cast<double>(done_) / static_cast<double>(total_), 1.0);
    line += fmt::format(" {:3.0f}% {}/{}", share * 100, done_, total_);
    if (terminal_) {
      constexpr int kWidth = 20;
      const int filled = static_cast<int>(share * kWidth);
      line += fmt::format(" [{:=<{}}{: <{}}]", "", filled, "", kWidth - filled);
    }
  } else {
    line += fmt::format(" {}", done_);
  }
  line += fmt::format(" {:.{}f} {}/s", per_second, per_second < 10 ? 2 : 0, unit_);
  if (last) {
    line += fmt::format(" in {}", format_duration(seconds_since(began_)));
  } else if (total_ > done_ && per_second > 0) {
    line +=
        fmt::format(" {} left", format_duration(static_cast<double>(total_ - done_) / per_second));
  }
  if (!note.empty()) line += fmt::format(" {}", note);
  if (terminal_) {
    fmt::print(stderr, "\r\033[K{}{}", line, last ? "\n" : "");
  } else {
    fmt::print(stderr, "{}\n", line);
  }
  std::fflush(stderr);
}

}  // namespace crescendo
