#include "dataloader/shard_list.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <set>
#include <sstream>
#include <system_error>

#include <fmt/ranges.h>
#include <glob.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/text.h"
#include "dataloader/shard_source.h"

namespace crescendo::dataloader {

namespace fs = std::filesystem;

namespace {

constexpr std::size_t kMaxExpansions = 1'000'000;
constexpr std::size_t kNamed = 5;  // how many names a message lists

[[noreturn]] void fail_too_many(std::string_view pattern) {
  throw UserError("{}: expands to more than {} names", pattern, kMaxExpansions);
}

std::optional<std::int64_t> to_integer(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  constexpr std::int64_t kLargest = 1'000'000'000'000;
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  if (value > kLargest || value < -kLargest) return std::nullopt;
  return value;
}

bool is_letter(std::string_view text) {
  return text.size() == 1 &&
         ((text[0] >= 'a' && text[0] <= 'z') || (text[0] >= 'A' && text[0] <= 'Z'));
}

bool is_padded(std::string_view number) {
  if (number.starts_with('-')) number.remove_prefix(1);
  return number.size() > 1 && number.starts_with('0');
}

std::vector<std::string_view> split_range(std::string_view body) {
  std::vector<std::string_view> parts;
  for (std::size_t begin = 0;;) {
    const std::size_t dots = body.find("..", begin);
    parts.push_back(body.substr(begin, dots - begin));
    if (dots == std::string_view::npos) return parts;
    begin = dots + 2;
  }
}

/// `a..b` or `a..b..step` between braces; nothing when the body is no range.
std::optional<std::vector<std::string>> expand_range(std::string_view body) {
  const std::vector<std::string_view> parts = split_range(body);
  if (parts.size() < 2 || parts.size() > 3) return std::nullopt;
  const bool letters = is_letter(parts[0]) && is_letter(parts[1]);
  const auto first = letters ? std::optional<std::int64_t>(parts[0][0]) : to_integer(parts[0]);
  const auto last = letters ? std::optional<std::int64_t>(parts[1][0]) : to_integer(parts[1]);
  const auto given_step = parts.size() == 3 ? to_integer(parts[2]) : std::optional<std::int64_t>(1);
  if (!first || !last || !given_step) return std::nullopt;
  const std::int64_t step = std::max<std::int64_t>(std::abs(*given_step), 1);
  const std::int64_t count = std::abs(*last - *first) / step + 1;
  if (count > static_cast<std::int64_t>(kMaxExpansions)) fail_too_many(body);
  const bool padded = is_padded(parts[0]) || is_padded(parts[1]);
  const std::size_t width = padded ? std::max(parts[0].size(), parts[1].size()) : 0;
  std::vector<std::string> names;
  for (std::int64_t i = 0; i < count; ++i) {
    const std::int64_t value = *first + (*last >= *first ? i * step : -i * step);
    names.push_back(letters ? std::string(1, static_cast<char>(value))
                            : fmt::format("{:0{}}", value, width));
  }
  return names;
}

/// The position of the brace that closes the one at `open`, and of the commas between, both of
/// this level only.
struct Group {
  std::size_t close = 0;
  std::vector<std::size_t> commas;
};

Group find_group(std::string_view pattern, std::size_t open) {
  Group group;
  int depth = 0;
  for (std::size_t i = open; i < pattern.size(); ++i) {
    if (pattern[i] == '{') ++depth;
    if (pattern[i] == ',' && depth == 1) group.commas.push_back(i);
    if (pattern[i] == '}' && --depth == 0) {
      group.close = i;
      return group;
    }
  }
  throw UserError("{}: a brace '{{' without its '}}'", pattern);
}

/// What one brace group stands for, itself included when it is none of bash's.
std::vector<std::string> expand_group(std::string_view pattern, std::size_t open,
                                      const Group& group) {
  const std::string_view body = pattern.substr(open + 1, group.close - open - 1);
  if (group.commas.empty()) {
    if (auto range = expand_range(body)) return *range;
    std::vector<std::string> inner = expand_braces(body);
    for (std::string& name : inner) name = "{" + name + "}";
    return inner;
  }
  std::vector<std::string> names;
  std::size_t begin = open + 1;
  for (std::size_t i = 0; i <= group.commas.size(); ++i) {
    const std::size_t end = i < group.commas.size() ? group.commas[i] : group.close;
    for (std::string& name : expand_braces(pattern.substr(begin, end - begin))) {
      names.push_back(std::move(name));
    }
    begin = end + 1;
  }
  return names;
}

bool exists(const std::string& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

/// The first few names, and how many more.
std::string some_of(const std::vector<std::string>& names) {
  const std::size_t shown = std::min(names.size(), kNamed);
  std::string text = fmt::format("{}", fmt::join(names.begin(), names.begin() + shown, ", "));
  if (names.size() > shown) text += fmt::format(" and {} more", names.size() - shown);
  return text;
}

std::string describe_folder(const fs::path& file) {
  const fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator entry(folder, error), end; !error && entry != end;
       entry.increment(error)) {
    // The indexes beside shards would only hide what is there.
    if (entry->path().extension() != ".index") names.push_back(entry->path().filename().string());
  }
  if (error)
    return fmt::format("the folder {} cannot be read: {}", folder.string(), error.message());
  if (names.empty()) return fmt::format("the folder {} is empty", folder.string());
  std::ranges::sort(names);
  return fmt::format("the folder {} holds {}", folder.string(), some_of(names));
}

/// What writers leave beside shards: unfinished files, pack's index, list and class names,
/// img2dataset's statistics and tables.
bool is_companion(const fs::path& path) {
  constexpr std::array<std::string_view, 4> kEndings{".index", ".json", ".txt", ".parquet"};
  return is_temporary_name(path) ||
         std::ranges::find(kEndings, path.extension().string()) != kEndings.end();
}

std::vector<std::string> expand_glob(const std::string& pattern) {
  glob_t found{};
  const int status = glob(pattern.c_str(), GLOB_NOSORT, nullptr, &found);
  const std::unique_ptr<glob_t, void (*)(glob_t*)> owner(&found, globfree);
  if (status != 0 && status != GLOB_NOMATCH) throw UserError("{}: cannot read folder", pattern);
  std::vector<std::string> names;
  for (std::size_t i = 0; i < found.gl_pathc; ++i) {
    if (!is_companion(found.gl_pathv[i])) names.emplace_back(found.gl_pathv[i]);
  }
  std::ranges::sort(names);
  if (names.empty()) {
    throw UserError("{}: no shard matches; {}", pattern, describe_folder(pattern));
  }
  return names;
}

/// The shards of one pattern; files, all of them there.
std::vector<std::string> expand_pattern(const std::string& pattern) {
  if (is_standard_input(pattern)) return {pattern};
  if (is_command(pattern)) return expand_braces(pattern);
  if (exists(pattern)) return {pattern};  // whatever letters its name has
  std::vector<std::string> names;
  std::vector<std::string> missing;
  for (const std::string& name : expand_braces(pattern)) {
    if (exists(name)) {
      names.push_back(name);
    } else if (name.find_first_of("*?[") != std::string::npos) {
      for (std::string& match : expand_glob(name)) names.push_back(std::move(match));
    } else {
      missing.push_back(name);
    }
  }
  if (!missing.empty()) {
    throw UserError("{}: missing shards: {}; {}", pattern, some_of(missing),
                    describe_folder(missing.front()));
  }
  return names;
}

/// A line's pattern, as seen from the folder of its list.
std::string from_folder(const fs::path& folder, const std::string& pattern) {
  if (is_command(pattern) || is_standard_input(pattern)) return pattern;
  return (folder / pattern).string();
}

std::vector<std::string> expand_list(const fs::path& list) {
  std::istringstream lines(read_file(list));
  std::vector<std::string> shards;
  int number = 0;
  for (std::string line; std::getline(lines, line);) {
    ++number;
    const std::string pattern(trim(line));
    if (pattern.empty() || pattern.starts_with('#')) continue;
    try {
      for (std::string& shard : expand_pattern(from_folder(list.parent_path(), pattern))) {
        shards.push_back(std::move(shard));
      }
    } catch (const UserError& failure) {
      throw UserError("{}: line {}: {}", list.string(), number, failure.what());
    }
  }
  if (shards.empty()) {
    throw UserError("{}: no shards in this list; expected a path, brace list, glob or pipe: a line",
                    list.string());
  }
  return shards;
}

std::vector<std::string> expand_entry(const std::string& entry) {
  if (exists(entry) && !entry.ends_with(".txt")) return {entry};
  if (entry.starts_with('@')) return expand_list(entry.substr(1));
  if (entry.ends_with(".txt") && !is_command(entry)) return expand_list(entry);
  return expand_pattern(entry);
}

}  // namespace

std::vector<std::string> expand_braces(std::string_view pattern) {
  const std::size_t open = pattern.find_first_of("{}");
  if (open == std::string_view::npos) return {std::string(pattern)};
  if (pattern[open] == '}') throw UserError("{}: a brace '}}' without its '{{'", pattern);
  const Group group = find_group(pattern, open);
  const std::vector<std::string> middles = expand_group(pattern, open, group);
  const std::vector<std::string> tails = expand_braces(pattern.substr(group.close + 1));
  if (middles.size() * tails.size() > kMaxExpansions) fail_too_many(pattern);
  std::vector<std::string> names;
  names.reserve(middles.size() * tails.size());
  for (const std::string& middle : middles) {
    for (const std::string& tail : tails) {
      names.push_back(std::string(pattern.substr(0, open)) + middle + tail);
    }
  }
  return names;
}

std::vector<std::string> expand_shards(std::span<const std::string> patterns) {
  if (patterns.empty()) {
    throw UserError("data.shards: no shards given; expected paths, brace lists or globs of tars");
  }
  std::vector<std::string> shards;
  std::set<std::string> seen;
  for (const std::string& pattern : patterns) {
    for (std::string& shard : expand_entry(pattern)) {
      if (!is_command(shard) && fs::is_directory(shard)) {
        throw UserError("{}: a folder; expected tar shards, for instance {}", shard,
                        (fs::path(shard) / "*.tar").string());
      }
      if (!seen.insert(shard).second) throw UserError("{}: this shard is named twice", shard);
      shards.push_back(std::move(shard));
    }
  }
  return shards;
}

}  // namespace crescendo::dataloader
