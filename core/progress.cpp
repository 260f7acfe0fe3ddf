#include "core/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace crescendo {

namespace {

using Clock = std::chrono::steady_clock;

bool silenced = false;

double seconds_since(Clock::time_point then) {
  return std::chrono::duration<double>(Clock::now() - then).count();
}

/// Columns that a line can have; the last one stays free, where some terminals wrap already.
std::size_t terminal_width() {
  winsize size{};
  const bool known = ::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 1;
  return known ? size.ws_col - std::size_t{1} : 79;
}

/// The line in at most `width` columns: where there is not enough room, without the bar and without
/// the last parts of `end`, which two spaces separate.
std::string fit_line(const std::string& begin, const std::string& bar, std::string end,
                     std::size_t width) {
  if (begin.size() + bar.size() + end.size() <= width) return begin + bar + end;
  while (begin.size() + end.size() > width) {
    const std::size_t part = end.rfind("  ");
    if (part == std::string::npos) break;
    end.resize(part);
  }
  return (begin + end).substr(0, width);
}

}  // namespace

std::string format_duration(double seconds) {
  const auto total = std::llround(seconds);
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
  std::string begin = label_;
  std::string bar;
  if (total_ > 0) {
    const double share = std::min(static_cast<double>(done_) / static_cast<double>(total_), 1.0);
    begin += fmt::format(" {:3.0f}% {}/{}", share * 100, done_, total_);
    constexpr int kWidth = 20;
    const int filled = static_cast<int>(share * kWidth);
    bar = fmt::format(" [{:=<{}}{: <{}}]", "", filled, "", kWidth - filled);
  } else {
    begin += fmt::format(" {}", done_);
  }
  std::string end = fmt::format(" {:.{}f} {}/s", per_second, per_second < 10 ? 2 : 0, unit_);
  if (last) {
    end += fmt::format(" in {}", format_duration(seconds_since(began_)));
  } else if (total_ > done_ && per_second > 0) {
    end +=
        fmt::format(" {} left", format_duration(static_cast<double>(total_ - done_) / per_second));
  }
  if (!note.empty()) end += fmt::format("  {}", note);
  if (terminal_) {
    fmt::print(stderr, "\r\033[K{}{}", fit_line(begin, bar, end, terminal_width()),
               last ? "\n" : "");
  } else {
    fmt::print(stderr, "{}{}\n", begin, end);
  }
  std::fflush(stderr);
}

}  // namespace crescendo
