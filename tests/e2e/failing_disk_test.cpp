// A disk that fails under a run: calls that fail once, a full one, one that becomes read-only, one
// that vanishes. Some of it needs the right to mount, and is skipped without.

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <optional>
#include <set>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/mount.h>

#include "pipelines/runs/checkpoint.h"
#include "tests/e2e/program.h"
#include "tests/e2e/run_files.h"
#include "tests/e2e/workshop.h"

namespace crescendo::e2e {
namespace {

namespace fs = std::filesystem;

constexpr const char* kShout = "THE CHECKPOINT COULD NOT BE WRITTEN";

std::size_t count_shouts(const std::string& text) {
  std::size_t count = 0;
  for (std::size_t at = 0; (at = text.find(kShout, at)) != std::string::npos; ++at) ++count;
  return count;
}

/// Something mounted on a folder for as long as it lives.
class Mount {
 public:
  Mount(const std::string& source, const fs::path& folder, const char* type, unsigned long flags,
        const char* options)
      : folder_(folder),
        mounted_(::mount(source.c_str(), folder.c_str(), type, flags, options) == 0) {}
  ~Mount() { unmount(); }
  Mount(const Mount&) = delete;
  Mount& operator=(const Mount&) = delete;

  bool mounted() const { return mounted_; }
  void unmount() {
    if (mounted_) ::umount2(folder_.c_str(), MNT_DETACH);
    mounted_ = false;
  }

 private:
  fs::path folder_;
  bool mounted_;
};

class FailingDiskTest : public testing::Test {
 protected:
  std::vector<std::string> arguments(int steps, int every) const {
    write_train_config(folder_ / "c.toml", run_, "none");
    return with_overrides({"train", (folder_ / "c.toml").string()},
                          {fmt::format("train.max_train_steps={}", steps),
                           fmt::format("checkpoint.every={}", every), "sample.every=0"});
  }

  /// All that are listed are whole; returns the newest step.
  std::int64_t newest_whole() const {
    const auto all = pipelines::list_checkpoints(run_);
    for (const auto& one : all) EXPECT_NO_THROW(pipelines::verify_checkpoint(one.path));
    return all.empty() ? 0 : all[0].step;
  }

  void wait_for_shouts(Program& program, std::size_t count) const {
    wait_until(program, [&] { return count_shouts(program.errors()) >= count; });
  }

  TemporaryFolder folder_;
  fs::path run_ = folder_ / "run";
};

// One call in twenty of the whole program's; tests/pipelines does every one, without the program
// around it. All of them: CRESCENDO_EVERY_CALL=1.
TEST_F(FailingDiskTest, EndsInOrderWhereverACallFails) {
  ASSERT_EQ(crescendo(arguments(2, 1)).exit_code, 0);
  const fs::path begun = folder_ / "begun";
  fs::rename(run_, begun);
  fs::remove_all(begun / "model");
  const int stride = std::getenv("CRESCENDO_EVERY_CALL") == nullptr ? 20 : 1;
  const std::array<int, 3> kinds = {ENOSPC, EIO, 0};
  std::set<int> exit_codes;
  int calls = 1;
  for (;; calls += stride) {
    fs::remove_all(run_);
    fs::copy(begun, run_, fs::copy_options::recursive);
    const int kind = kinds[static_cast<std::size_t>(calls / stride) % kinds.size()];
    Program program(arguments(4, 1), "/dev/null",
                    {std::string("LD_PRELOAD=") + CRESCENDO_FAILING_CALLS,
                     fmt::format("FAILING_CALLS={}:{}:{}", run_.string(), calls, kind)});
    const Outcome outcome = program.wait();
    const bool touched = outcome.err.find("failing_calls: call ") != std::string::npos;
    exit_codes.insert(outcome.exit_code);
    EXPECT_TRUE(outcome.exit_code == 0 || outcome.exit_code == 2) << calls << "\n" << outcome.err;
    if (outcome.exit_code == 2) {
      EXPECT_NE(error_line(outcome).find(run_.string()), std::string::npos) << outcome.err;
    }
    EXPECT_GE(newest_whole(), 2) << "call " << calls;
    const Outcome again = crescendo(arguments(4, 1));
    EXPECT_EQ(again.exit_code, 0) << "call " << calls << "\n" << again.err;
    EXPECT_EQ(newest_whole(), 4);
    if (!touched) break;
  }
  EXPECT_GT(calls, 100) << "fewer calls than one would think";
  EXPECT_EQ(exit_codes, (std::set<int>{0, 2}));
}

class FullDiskTest : public FailingDiskTest {
 protected:
  void SetUp() override {
    fs::create_directory(run_);
    disk_.emplace("tmpfs", run_, "tmpfs", 0, "size=16m");
    if (!disk_->mounted()) {
      GTEST_SKIP() << "NOT TESTED: a full disk; mounting needs root: " << std::strerror(errno);
    }
  }

  void fill() const {
    std::ofstream filler(run_ / "filler", std::ios::binary);
    const std::string block(1 << 16, 'x');
    while (filler << block << std::flush) {
    }
  }

  std::optional<Mount> disk_;
};

TEST_F(FullDiskTest, TrainingGoesOnAndTheNextAttemptSucceeds) {
  Program program(arguments(400, 20));
  wait_until(program, [&] { return fs::exists(checkpoint_of(run_, 20)); });
  fill();
  wait_for_shouts(program, 2);
  EXPECT_GE(newest_whole(), 20);
  fs::remove(run_ / "filler");
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("No space left on device"), std::string::npos) << outcome.err;
  EXPECT_EQ(newest_whole(), 400);
  std::int64_t step = 0;
  for (const nlohmann::json& line : metrics_of(run_)) {
    if (!line.contains("loss")) continue;
    EXPECT_EQ(line["step"], ++step) << "a line of metrics is lost";
  }
  EXPECT_EQ(step, 400);
}

TEST_F(FullDiskTest, StillFullAtTheEndIsAFailureThatKeepsTheOldCheckpoint) {
  Program program(arguments(400, 20));
  wait_until(program, [&] { return fs::exists(checkpoint_of(run_, 20)); });
  fill();
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.exit_code, 2) << outcome.err;
  EXPECT_GT(count_shouts(outcome.err), 0U);
  EXPECT_NE(error_line(outcome).find("No space left on device"), std::string::npos) << outcome.err;
  const std::int64_t newest = newest_whole();
  EXPECT_GE(newest, 20);
  EXPECT_LT(newest, 400);
  fs::remove(run_ / "filler");
  const Outcome again = crescendo(arguments(400, 20));
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.err.find(fmt::format("resumes at step {} from", newest)), std::string::npos);
}

TEST_F(FailingDiskTest, AFolderThatBecomesReadOnlyAndIsWritableAgain) {
  Program program(arguments(400, 20));
  wait_until(program, [&] { return fs::exists(checkpoint_of(run_, 20)); });
  Mount bound(run_.string(), run_, nullptr, MS_BIND, nullptr);
  if (!bound.mounted()) GTEST_SKIP() << "NOT TESTED: a read-only folder; mounting needs root";
  ASSERT_EQ(::mount(nullptr, run_.c_str(), nullptr, MS_BIND | MS_REMOUNT | MS_RDONLY, nullptr), 0);
  wait_for_shouts(program, 2);
  EXPECT_GE(newest_whole(), 20);
  bound.unmount();
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find("Read-only file system"), std::string::npos) << outcome.err;
  EXPECT_EQ(newest_whole(), 400);
}

TEST_F(FailingDiskTest, AFolderThatVanishesIsMadeAnew) {
  Program program(arguments(200, 20));
  wait_until(program, [&] { return fs::exists(checkpoint_of(run_, 20)); });
  fs::rename(run_, folder_ / "gone");
  const Outcome outcome = program.wait();
  EXPECT_EQ(outcome.exit_code, 0) << outcome.err;
  EXPECT_NE(outcome.err.find(run_.string() + ": the folder has vanished; makes it anew"),
            std::string::npos)
      << outcome.err;
  EXPECT_EQ(newest_whole(), 200);
}

}  // namespace
}  // namespace crescendo::e2e
