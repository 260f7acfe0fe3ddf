#include "tests/e2e/run_files.h"

#include <chrono>
#include <fstream>
#include <thread>

#include <fmt/format.h>
#include <gtest/gtest.h>

namespace crescendo::e2e {

namespace fs = std::filesystem;

std::vector<nlohmann::json> metrics_of(const fs::path& run) {
  std::vector<nlohmann::json> entries;
  std::ifstream lines(run / "metrics.jsonl");
  for (std::string line; std::getline(lines, line);) {
    entries.push_back(nlohmann::json::parse(line));
    for (const char* key : {"seconds", "data_seconds", "memory"}) entries.back().erase(key);
  }
  return entries;
}

std::size_t count_lines(const fs::path& file) {
  std::size_t count = 0;
  std::ifstream lines(file);
  for (std::string line; std::getline(lines, line);) ++count;
  return count;
}

std::map<std::string, std::string> files_of(const fs::path& folder) {
  std::map<std::string, std::string> files;
  for (const auto& entry : fs::recursive_directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    files[fs::relative(entry.path(), folder).string()] = content_of(entry.path());
  }
  return files;
}

void expect_same_files(const fs::path& folder, const fs::path& expected) {
  const auto left = files_of(folder);
  const auto right = files_of(expected);
  ASSERT_EQ(left.size(), right.size());
  ASSERT_FALSE(right.empty());
  for (const auto& [name, bytes] : right) {
    const auto found = left.find(name);
    ASSERT_NE(found, left.end()) << name;
    EXPECT_TRUE(found->second == bytes) << name << " differs";
  }
}

void expect_same_runs(const fs::path& run, const fs::path& expected, std::int64_t steps) {
  EXPECT_EQ(metrics_of(run), metrics_of(expected));
  expect_same_files(checkpoint_of(run, steps), checkpoint_of(expected, steps));
  expect_same_files(run / "model", expected / "model");
}

fs::path checkpoint_of(const fs::path& run, std::int64_t step) {
  return run / "checkpoints" / fmt::format("step-{:08}", step);
}

void wait_until(Program& program, const std::function<bool()>& is_so) {
  while (!is_so()) {
    ASSERT_FALSE(program.ended()) << "it ended too early\n" << program.errors();
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

void wait_for_lines(Program& program, const fs::path& run, std::size_t lines) {
  wait_until(program, [&] { return count_lines(run / "metrics.jsonl") >= lines; });
}

}  // namespace crescendo::e2e
