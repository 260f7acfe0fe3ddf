#include "pipelines/runs/config_changes.h"

#include <algorithm>

#include "core/error.h"
#include "core/log.h"

namespace crescendo::pipelines {

namespace {

using Json = nlohmann::json;

bool matches(std::string_view key, std::string_view pattern) {
  if (!pattern.ends_with('*')) return key == pattern;
  return key.starts_with(pattern.substr(0, pattern.size() - 1));
}

/// With a constant learning rate the end moves and no step changes; other schedules depend on it.
bool moves_the_end_only(std::string_view key, const Json& before, const Json& after) {
  if (key != "train.max_train_steps") return false;
  const Json constant = "constant";
  const Json::json_pointer schedule("/train/lr_scheduler");
  return before.value(schedule, Json()) == constant && after.value(schedule, Json()) == constant;
}

std::int64_t global_batch(const Json& config, int ranks) {
  const auto value_of = [&](const char* key) {
    const Json::json_pointer place(key);
    return config.contains(place) ? config.at(place).get<std::int64_t>() : 1;
  };
  return ranks * value_of("/train/train_batch_size") *
         value_of("/train/gradient_accumulation_steps");
}

/// One of the keys that divide the global batch. In buckets a batch is of one size of image.
bool divides_batch(std::string_view key, const Json& config) {
  if (key == "train.gradient_accumulation_steps") return true;
  return key == "train.train_batch_size" &&
         !config.value(Json::json_pointer("/data/enable_bucket"), false);
}

std::string text_of(const Json& value) { return value.is_null() ? "nothing" : value.dump(); }

}  // namespace

const std::vector<std::string_view>& harmless_keys() {
  static const std::vector<std::string_view> keys = {
      "run.device",
      "run.report_to",
      "data.workers",
      "data.prefetch",
      "data.pipe_timeout",
      "data.max_bad_fraction",
      "lora.format",
      "train.gradient_checkpointing",
      "train.max_nonfinite_steps",
      "train.posthoc_ema_every",
      "train.zero_stage",
      "checkpoint.*",
      "validation.*",
      "evaluate.*",
      "sample.*",
  };
  return keys;
}

std::vector<ConfigChange> config_changes(const Json& before, const Json& after,
                                         const Json& defaults, int ranks_before, int ranks_after) {
  Json old = defaults;
  old.merge_patch(before);
  std::vector<ConfigChange> changes;
  const std::int64_t batch_before = global_batch(old, ranks_before);
  const std::int64_t batch_after = global_batch(after, ranks_after);
  const bool keeps_batch = batch_before == batch_after;
  if (ranks_before != ranks_after) {
    changes.push_back({"ranks", std::to_string(ranks_before), std::to_string(ranks_after), true});
    if (!keeps_batch) {
      changes.push_back({"ranks x train.train_batch_size x train.gradient_accumulation_steps",
                         std::to_string(batch_before), std::to_string(batch_after), false});
    }
  }
  for (const auto& [section, values] : after.items()) {
    for (const auto& [name, value] : values.items()) {
      const Json was = old.value(Json::json_pointer(fmt::format("/{}/{}", section, name)), Json());
      if (was == value) continue;
      const std::string key = fmt::format("{}.{}", section, name);
      const bool harmless =
          moves_the_end_only(key, old, after) || (keeps_batch && divides_batch(key, after)) ||
          std::ranges::any_of(harmless_keys(),
                              [&](std::string_view pattern) { return matches(key, pattern); });
      changes.push_back({key, text_of(was), text_of(value), harmless});
    }
  }
  return changes;
}

void accept_config_changes(const std::vector<ConfigChange>& changes, bool allowed) {
  std::vector<std::string> refused;
  for (const ConfigChange& change : changes) {
    const std::string line = fmt::format("{}: {} -> {}", change.key, change.before, change.after);
    if (change.harmless) {
      log::info("config changed: {}", line);
    } else if (allowed) {
      log::warn("config changed: {}; the run is no longer the one that it would have been", line);
    } else {
      refused.push_back(line);
    }
  }
  if (refused.empty()) return;
  throw UserError(
      "the run to resume was trained with another configuration\n  {}\n"
      "put that back, choose another run.output_dir for a new run, or go on with the new values by "
      "--allow-config-change",
      fmt::join(refused, "\n  "));
}

}  // namespace crescendo::pipelines
