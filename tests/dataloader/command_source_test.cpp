#include "dataloader/command_source.h"

#include <chrono>
#include <fstream>

#include <gtest/gtest.h>

#include "core/atomic_file.h"
#include "dataloader/sample_reader.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"
#include "tests/dataloader/read_all.h"
#include "tests/dataloader/tar_bytes.h"

namespace crescendo::dataloader {

namespace {

using std::chrono::seconds;

std::string output_of(const std::string& command) {
  return text_of(read_all(*run_command(command, "x", seconds(20))));
}

std::string error_of(const std::string& command, seconds timeout = seconds(20)) {
  return data_error_text([&] { read_all(*run_command(command, "x", timeout)); });
}

/// Not when it has ended and only waits to be collected.
bool is_running(const std::string& process) {
  std::ifstream file("/proc/" + process + "/stat");
  std::string number, name, state;
  return file >> number >> name >> state && state != "Z";
}

TEST(CommandSourceTest, GivesTheOutput) {
  EXPECT_EQ(output_of("printf 'a%sb' '\\0'"), "a\\0b");
  EXPECT_EQ(output_of("true"), "");
  EXPECT_EQ(output_of("cat"), "");  // there is nothing to read
  EXPECT_EQ(output_of("head -c 3000000 /dev/zero").size(), 3'000'000U);
}

TEST(CommandSourceTest, TakesInWhatIsComplainedMeanwhile) {
  EXPECT_EQ(output_of("head -c 300000 /dev/zero >&2; echo done"), "done\n");
}

TEST(CommandSourceTest, NamesTheExitCodeAndTheLastComplaint) {
  EXPECT_EQ(error_of("echo some; exit 3"), "x: the command failed with exit code 3");
  EXPECT_EQ(error_of("echo first >&2; echo 'the cause' >&2; exit 1"),
            "x: the command failed with exit code 1: the cause");
  EXPECT_EQ(error_of("exec no-such-command-here 2>/dev/null"),
            "x: the command failed with exit code 127");
  EXPECT_EQ(error_of("kill -9 $$"), "x: the command was ended by signal 9");
}

TEST(CommandSourceTest, ABrokenPipeWithinTheCommandIsNoFailure) {
  EXPECT_EQ(error_of("echo some; exit 141"), "");
  EXPECT_EQ(error_of("echo some; kill -PIPE $$"), "");
}

TEST(CommandSourceTest, WaitsForTheEndOfACommandThatHasClosedItsOutput) {
  EXPECT_EQ(error_of("exec >&-; sleep 0.1; exit 5"), "x: the command failed with exit code 5");
  EXPECT_EQ(error_of("exec >&- 2>&-; sleep 0.1; exit 5"), "x: the command failed with exit code 5");
}

TEST(CommandSourceTest, KillsASilentCommandWithItsGroup) {
  const TemporaryFolder folder;
  const std::string file = (folder / "pid").string();
  const std::string message =
      "x: no bytes for 1 seconds (data.pipe_timeout), the command was killed";
  EXPECT_EQ(error_of("sleep 60 & echo $! >" + file + "; echo waiting >&2; wait", seconds(1)),
            message + ": waiting");
  const std::string child = std::to_string(std::stoi(read_file(file)));
  for (int i = 0; i < 200 && is_running(child); ++i) output_of("sleep 0.01");
  EXPECT_FALSE(is_running(child));
  EXPECT_EQ(error_of("exec >&- 2>&-; sleep 60", seconds(1)), message);
}

TEST(CommandSourceTest, KillsACommandThatIsNotReadToItsEnd) {
  const auto begin = std::chrono::steady_clock::now();
  {
    const auto source = run_command("yes", "x", seconds(20));
    Bytes some(10);
    source->read(some);
    run_command("sleep 60", "x", seconds(20));
  }
  EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(10));
}

TEST(CommandSourceTest, ATarFromAFailingCommandIsDamaged) {
  const TemporaryFolder folder;
  const std::string file = (folder / "a.tar").string();
  write_bytes(file, tar_of({{"a.txt", "1"}, {"b.txt", "2"}, {"c.txt", "3"}}));
  const auto read = [](const std::string& shard) {
    std::string keys;
    const std::string error = data_error_text([&] {
      TarReader archive(shard);
      SampleReader samples(archive, 100);
      while (const auto sample = samples.next()) keys += sample->key;
    });
    return keys + ": " + error;
  };
  EXPECT_EQ(read("pipe:cat " + file), "abc: ");
  EXPECT_EQ(read("pipe:gzip -c " + file), "abc: ");
  const std::string half = "pipe:head -c 2560 " + file + "; echo gone >&2; exit 22";
  EXPECT_EQ(read(half), "ab: " + half + ": the command failed with exit code 22: gone");
  const std::string cut = "pipe:head -c 2560 " + file;
  EXPECT_TRUE(read(cut).starts_with("ab: " + cut + ": Truncated tar archive")) << read(cut);
  const std::string late = "pipe:cat " + file + "; exit 9";
  EXPECT_EQ(read(late), "ab: " + late + ": the command failed with exit code 9");
}

}  // namespace

}  // namespace crescendo::dataloader
