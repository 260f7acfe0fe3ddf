#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include <nlohmann/json.hpp>

#include "tests/e2e/program.h"

namespace crescendo::e2e {

// What a run folder holds, to be compared with another's.

/// The lines of metrics.jsonl without how long each step took.
std::vector<nlohmann::json> metrics_of(const std::filesystem::path& run);

std::size_t count_lines(const std::filesystem::path& file);

/// Every file below a folder, by its path there.
std::map<std::string, std::string> files_of(const std::filesystem::path& folder);

void expect_same_files(const std::filesystem::path& folder, const std::filesystem::path& expected);

/// Metrics, last checkpoint and model are the same, bit for bit.
void expect_same_runs(const std::filesystem::path& run, const std::filesystem::path& expected,
                      std::int64_t steps);

/// checkpoints/step-NNNNNNNN.
std::filesystem::path checkpoint_of(const std::filesystem::path& run, std::int64_t step);

/// Looks until it is so; fails the test when the program ends before.
void wait_until(Program& program, const std::function<bool()>& is_so);

/// Until metrics.jsonl has so many lines.
void wait_for_lines(Program& program, const std::filesystem::path& run, std::size_t lines);

}  // namespace crescendo::e2e
