#include "pipelines/training/trainable.h"

#include <algorithm>
#include <set>
#include <vector>

#include <fnmatch.h>

#include "core/error.h"
#include "core/text.h"

namespace crescendo::pipelines {

namespace {

bool matches(const std::string& pattern, const std::string& name) {
  return fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
}

/// What is between dots and wildcards.
std::vector<std::string> parts_of(const std::string& name) {
  std::vector<std::string> parts{""};
  for (const char c : name) {
    if (c == '.' || c == '*' || c == '?') {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  std::erase(parts, "");
  return parts;
}

/// Which part of the pattern is in no name, and what is near it; or the whole names.
std::string hint(const std::string& pattern, const std::vector<std::string>& names) {
  std::set<std::string> known;
  for (const std::string& name : names) {
    for (const std::string& part : parts_of(name)) known.insert(part);
  }
  const std::vector<std::string> candidates(known.begin(), known.end());
  for (const std::string& part : parts_of(pattern)) {
    const std::string near = known.contains(part) ? "" : nearest_name(part, candidates);
    if (!near.empty()) return fmt::format("did you mean '{}' for '{}'?", near, part);
  }
  return "the names are:" + some_lines(names);
}

}  // namespace

void select_trainable(torch::nn::Module& module, std::span<const std::string> patterns) {
  if (patterns.empty()) return;
  std::vector<std::string> names;
  for (const auto& item : module.named_parameters()) names.push_back(item.key());
  for (const std::string& pattern : patterns) {
    if (std::ranges::none_of(names, [&](const auto& name) { return matches(pattern, name); })) {
      throw UserError("train.trainable: '{}' matches no parameter; {}", pattern,
                      hint(pattern, names));
    }
  }
  for (auto& item : module.named_parameters()) {
    item.value().set_requires_grad(std::ranges::any_of(
        patterns, [&](const auto& pattern) { return matches(pattern, item.key()); }));
  }
}

}  // namespace crescendo::pipelines
