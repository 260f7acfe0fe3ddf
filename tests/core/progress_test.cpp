#include "core/progress.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <set>
#include <stdexcept>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace crescendo {

namespace {

TEST(FormatDurationTest, RoundsToSeconds) {
  EXPECT_EQ(format_duration(0), "0:00");
  EXPECT_EQ(format_duration(0.4), "0:00");
  EXPECT_EQ(format_duration(50.6), "0:51");
  EXPECT_EQ(format_duration(59.6), "1:00");
  EXPECT_EQ(format_duration(61), "1:01");
  EXPECT_EQ(format_duration(3599), "59:59");
  EXPECT_EQ(format_duration(3723), "1:02:03");
  EXPECT_EQ(format_duration(100 * 3600), "100:00:00");
}

/// What is drawn while `action` runs. Standard error is no terminal here, so a line stands for
/// itself, and only the last one falls inside the ten seconds.
template <typename Action>
std::string drawn_by(Action action) {
  testing::internal::CaptureStderr();
  action();
  return testing::internal::GetCapturedStderr();
}

TEST(ProgressTest, ClosesWithOneLine) {
  const std::string line = drawn_by([] {
    Progress progress("train", 8, "steps");
    for (std::uint64_t step = 1; step <= 8; ++step) progress.update(step, "loss 0.25");
  });
  EXPECT_TRUE(line.starts_with("train 100% 8/8 ")) << line;
  EXPECT_NE(line.find("steps/s in 0:00  loss 0.25\n"), std::string::npos) << line;
  EXPECT_EQ(line.find('\n'), line.size() - 1) << line;
}

TEST(ProgressTest, CountsWhatIsDoneWhenTheTotalIsUnknown) {
  const std::string line = drawn_by([] {
    Progress progress("pack", 0, "samples");
    progress.update(3);
  });
  EXPECT_TRUE(line.starts_with("pack 3 ")) << line;
  EXPECT_EQ(line.find('%'), std::string::npos) << line;
}

TEST(ProgressTest, SaysNothingWhenNothingWasDone) {
  EXPECT_EQ(drawn_by([] { const Progress progress("train", 8, "steps", 5); }), "");
}

TEST(ProgressTest, RateCountsThisProcessOnly) {
  drawn_by([] {
    Progress progress("train", 1'000'000, "steps", 999'999);
    EXPECT_EQ(progress.rate(), 0);
    progress.update(1'000'000);
    EXPECT_GT(progress.rate(), 0);
    EXPECT_TRUE(std::isfinite(progress.rate()));
  });
}

/// Standard error is a terminal of so many columns while one lives.
class Terminal {
 public:
  explicit Terminal(std::uint16_t columns)
      : master_(::posix_openpt(O_RDWR | O_NOCTTY)), before_(::dup(STDERR_FILENO)) {
    if (::grantpt(master_) != 0 || ::unlockpt(master_) != 0) throw std::runtime_error("no pty");
    const int slave = ::open(::ptsname(master_), O_RDWR | O_NOCTTY);
    const winsize size{25, columns, 0, 0};
    ::ioctl(slave, TIOCSWINSZ, &size);
    ::dup2(slave, STDERR_FILENO);
    ::close(slave);
  }
  ~Terminal() {
    ::dup2(before_, STDERR_FILENO);
    ::close(before_);
    ::close(master_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  /// The line that stands there after one drawing.
  std::string line() const {
    std::string text(1000, ' ');
    text.resize(static_cast<std::size_t>(::read(master_, text.data(), text.size())));
    const std::string_view wipe = "\r\033[K";
    EXPECT_TRUE(text.starts_with(wipe)) << text;
    EXPECT_TRUE(text.ends_with("\r\n")) << text;
    return text.substr(wipe.size(), text.size() - wipe.size() - 2);
  }

 private:
  int master_;
  int before_;
};

std::string line_of(std::uint16_t columns) {
  const Terminal terminal(columns);
  {
    Progress progress("train", 2000, "steps", 1600);
    progress.update(1800, "loss 0.1234  stage 3/8  lr 1.0e-04  data 3%");
  }
  return terminal.line();
}

TEST(ProgressTest, DrawsABarWhereThereIsRoom) {
  const std::string line = line_of(200);
  EXPECT_TRUE(line.starts_with("train  90% 1800/2000 [==================  ] ")) << line;
  EXPECT_TRUE(line.ends_with("  loss 0.1234  stage 3/8  lr 1.0e-04  data 3%")) << line;
}

TEST(ProgressTest, KeepsToTheWidthOfTheTerminal) {
  const std::string begin = "train  90% 1800/2000";
  std::set<std::string> notes;
  for (std::uint16_t columns = 2; columns <= 120; ++columns) {
    const std::string line = line_of(columns);
    ASSERT_LT(line.size(), columns);
    ASSERT_EQ(line.substr(0, begin.size()), begin.substr(0, line.size()));
    const std::size_t note = line.find("  ", std::min(line.size(), begin.size()));
    if (line.find('[') == std::string::npos) {
      notes.insert(note == std::string::npos ? "" : line.substr(note));
    }
  }
  EXPECT_EQ(notes, (std::set<std::string>{"", "  loss 0.1234", "  loss 0.1234  stage 3/8",
                                          "  loss 0.1234  stage 3/8  lr 1.0e-04",
                                          "  loss 0.1234  stage 3/8  lr 1.0e-04  data 3%"}));
}

}  // namespace

}  // namespace crescendo
