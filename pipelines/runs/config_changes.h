#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

namespace crescendo::pipelines {

/// A key of a config that is not what it was when the run was last saved.
struct ConfigChange {
  std::string key;  ///< "train.learning_rate"
  std::string before;
  std::string after;
  bool harmless = false;  ///< every step stays what it would have been
};

/// The keys that no step of a training depends on, or the whole table: "sample.*". Any other key
/// is taken to matter.
const std::vector<std::string_view>& harmless_keys();

/// What changed between two configs, each an object of tables, of a run of `ranks_before` that goes
/// on with `ranks_after`. Keys that `before` lacks, because its version did not have them, had
/// their value in `defaults`. Ranks, passes and, without buckets, batch size may change together
/// where the global batch stays.
std::vector<ConfigChange> config_changes(const nlohmann::json& before, const nlohmann::json& after,
                                         const nlohmann::json& defaults, int ranks_before = 1,
                                         int ranks_after = 1);

/// Logs the changes. Throws UserError for those that are not harmless, unless `allowed`.
void accept_config_changes(const std::vector<ConfigChange>& changes, bool allowed);

}  // namespace crescendo::pipelines
