#include "pipelines/studies/comparison.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "pipelines/runs/config_changes.h"

namespace crescendo::pipelines {

namespace {

using Json = nlohmann::ordered_json;

constexpr const char* kSwitch = "curriculum.enabled";

/// The keys in which two configurations differ that change a step.
std::vector<std::string> differing_keys(const nlohmann::json& one, const nlohmann::json& other) {
  std::vector<std::string> keys;
  for (const ConfigChange& change : config_changes(one, other, nlohmann::json::object())) {
    if (!change.harmless) keys.push_back(change.key);
  }
  return keys;
}

nlohmann::json value_at(const nlohmann::json& config, const std::string& key) {
  const std::size_t dot = key.rfind('.');
  return config.at(key.substr(0, dot)).at(key.substr(dot + 1));
}

void check_comparable(const std::vector<RecordedRun>& runs) {
  for (const RecordedRun& run : runs) {
    if (run.history.held_out().empty()) {
      throw UserError(
          "{}: has no held-out loss yet, which is what runs are compared by; expected a run with "
          "validation.shards, and validation.every within its steps",
          run.path.string());
    }
    const auto set_of = [](const RecordedRun& of) { return of.history.held_out().back().set; };
    for (const HeldOutLoss& loss : run.history.held_out()) {
      if (loss.set == set_of(runs[0])) continue;
      throw UserError(
          "{}: its held-out loss is of another set ({}) than that of {} ({}); expected the same "
          "[validation], data, autoencoder, noise schedule and prediction_type",
          run.path.string(), loss.set, runs[0].path.string(), set_of(runs[0]));
    }
  }
}

std::vector<Arm> sort_into_arms(std::vector<RecordedRun> runs) {
  std::vector<Arm> arms;
  for (RecordedRun& run : runs) {
    const auto same = std::ranges::find_if(arms, [&](const Arm& arm) {
      return differing_keys(arm.runs[0].config, run.config).empty();
    });
    if (same == arms.end()) {
      arms.emplace_back().runs.push_back(std::move(run));
      continue;
    }
    for (const RecordedRun& other : same->runs) {
      if (other.seed != run.seed) continue;
      log::warn("{} and {} are of the same configuration and seed; their spread tells nothing",
                other.path.string(), run.path.string());
    }
    same->runs.push_back(std::move(run));
  }
  return arms;
}

/// "baseline", "curriculum clusters = 5": by what differs.
std::string name_of(const Arm& arm, std::size_t number) {
  const auto enabled = arm.values.find(kSwitch);
  std::vector<std::string> parts;
  for (const auto& [key, value] : arm.values) {
    const bool unused =
        key.starts_with("curriculum.") && enabled != arm.values.end() && enabled->second == "false";
    if (key != kSwitch && !unused) {
      parts.push_back(fmt::format("{} = {}", key.substr(key.rfind('.') + 1), value));
    }
  }
  const std::string rest = fmt::format("{}", fmt::join(parts, ", "));
  if (enabled == arm.values.end()) return rest.empty() ? fmt::format("arm {}", number + 1) : rest;
  return (enabled->second == "true" ? "curriculum" : "baseline") + (rest.empty() ? "" : " " + rest);
}

void name_arms(std::vector<Arm>& arms) {
  std::set<std::string> keys;
  for (const Arm& arm : arms) {
    for (std::string& key : differing_keys(arms[0].runs[0].config, arm.runs[0].config)) {
      keys.insert(std::move(key));
    }
  }
  for (std::size_t i = 0; i < arms.size(); ++i) {
    for (const std::string& key : keys) {
      arms[i].values[key] = value_at(arms[i].runs[0].config, key).dump();
    }
    arms[i].name = name_of(arms[i], i);
  }
}

const HeldOutLoss* loss_at(const RecordedRun& run, std::int64_t step) {
  const auto& losses = run.history.held_out();
  const auto found = std::ranges::find(losses, step, &HeldOutLoss::step);
  return found == losses.end() ? nullptr : &*found;
}

std::vector<ArmLoss> losses_of(const std::vector<RecordedRun>& runs) {
  std::vector<ArmLoss> losses;
  for (const HeldOutLoss& first : runs[0].history.held_out()) {
    std::vector<double> seconds;
    std::vector<double> values;
    std::map<std::string, std::vector<double>> clusters;
    for (const RecordedRun& run : runs) {
      const HeldOutLoss* loss = loss_at(run, first.step);
      if (loss == nullptr) break;
      seconds.push_back(loss->seconds);
      values.push_back(loss->loss);
      for (const auto& [name, value] : loss->clusters) clusters[name].push_back(value);
    }
    if (values.size() < runs.size()) continue;
    ArmLoss& made = losses.emplace_back();
    made.step = first.step;
    made.seconds = spread_of(seconds);
    made.loss = spread_of(values);
    for (const auto& [name, all] : clusters) made.clusters[name] = spread_of(all);
  }
  return losses;
}

Reaching reaching_of(const Arm& arm, double target) {
  std::vector<double> steps;
  std::vector<double> seconds;
  for (const RecordedRun& run : arm.runs) {
    const auto& losses = run.history.held_out();
    const auto first =
        std::ranges::find_if(losses, [&](const HeldOutLoss& l) { return l.loss <= target; });
    if (first == losses.end()) continue;
    steps.push_back(static_cast<double>(first->step));
    seconds.push_back(first->seconds);
  }
  return {steps.size(), spread_of(steps), spread_of(seconds)};
}

/// The last step at which every arm has a loss.
std::int64_t last_common_step(const std::vector<Arm>& arms) {
  for (auto loss = arms[0].losses.rbegin(); loss != arms[0].losses.rend(); ++loss) {
    const bool everywhere = std::ranges::all_of(arms, [&](const Arm& arm) {
      return std::ranges::find(arm.losses, loss->step, &ArmLoss::step) != arm.losses.end();
    });
    if (everywhere) return loss->step;
  }
  throw UserError(
      "the runs have no step at which the held-out loss of all was measured; expected the same "
      "validation.every, or longer runs");
}

const StepEvaluation* evaluation_like(const StepEvaluation& other, const RecordedRun& run) {
  const auto& all = run.history.evaluations();
  const auto found = std::ranges::find_if(all, [&](const StepEvaluation& one) {
    return one.step == other.step && one.set == other.set;
  });
  return found == all.end() ? nullptr : &*found;
}

/// What [evaluate] measured at the last step at which it measured all runs alike, if there is one.
void add_evaluations(Comparison& comparison) {
  const auto& some = comparison.arms[0].runs[0].history.evaluations();
  const auto last = std::find_if(some.rbegin(), some.rend(), [&](const StepEvaluation& one) {
    return std::ranges::all_of(comparison.arms, [&](const Arm& arm) {
      return std::ranges::all_of(
          arm.runs, [&](const RecordedRun& run) { return evaluation_like(one, run) != nullptr; });
    });
  });
  if (last == some.rend()) return;
  comparison.evaluated_step = last->step;
  for (Arm& arm : comparison.arms) {
    std::map<std::string, std::vector<double>> values;
    for (const RecordedRun& run : arm.runs) {
      for (const auto& [name, value] : evaluation_like(*last, run)->metrics) {
        values[name].push_back(value);
      }
    }
    for (const auto& [name, all] : values) arm.evaluation[name] = spread_of(all);
  }
}

Json json_of(const Spread& spread) { return {{"mean", spread.mean}, {"std", spread.deviation}}; }

Json json_of(const ArmLoss& loss) {
  Json json = {{"step", loss.step},
               {"seconds", json_of(loss.seconds)},
               {"loss", json_of(loss.loss)},
               {"clusters", Json::object()}};
  for (const auto& [name, spread] : loss.clusters) json["clusters"][name] = json_of(spread);
  return json;
}

}  // namespace

Spread spread_of(std::span<const double> values) {
  if (values.empty()) return {};
  const auto count = static_cast<double>(values.size());
  double sum = 0;
  for (const double value : values) sum += value;
  const double mean = sum / count;
  double squares = 0;
  for (const double value : values) squares += (value - mean) * (value - mean);
  return {mean, values.size() > 1 ? std::sqrt(squares / (count - 1)) : 0};
}

const ArmLoss& Comparison::at_common_step(const Arm& arm) const {
  return *std::ranges::find(arm.losses, common_step, &ArmLoss::step);
}

Comparison compare_runs(std::vector<RecordedRun> runs) {
  check_comparable(runs);
  Comparison comparison{.arms = sort_into_arms(std::move(runs))};
  std::vector<Arm>& arms = comparison.arms;
  name_arms(arms);
  const auto baseline = std::ranges::find_if(
      arms, [](const Arm& arm) { return value_at(arm.runs[0].config, kSwitch) == false; });
  if (baseline != arms.end()) {
    comparison.baseline = static_cast<std::size_t>(baseline - arms.begin());
  }
  for (Arm& arm : arms) arm.losses = losses_of(arm.runs);
  comparison.common_step = last_common_step(arms);
  comparison.target = arms[comparison.baseline].losses.back().loss.mean;
  for (Arm& arm : arms) arm.reaching = reaching_of(arm, comparison.target);
  add_evaluations(comparison);
  return comparison;
}

Json to_json(const Comparison& comparison) {
  Json json = {{"baseline", comparison.arms[comparison.baseline].name},
               {"set", comparison.arms[0].runs[0].history.held_out().back().set},
               {"target_loss", comparison.target},
               {"common_step", comparison.common_step},
               {"arms", Json::array()}};
  for (const Arm& arm : comparison.arms) {
    Json& one = json["arms"].emplace_back();
    one["name"] = arm.name;
    one["values"] = Json::object();
    for (const auto& [key, value] : arm.values) one["values"][key] = Json::parse(value);
    for (const RecordedRun& run : arm.runs) {
      one["runs"].push_back({{"path", run.path.string()},
                             {"seed", run.seed},
                             {"steps", run.history.step()},
                             {"seconds", run.history.seconds()}});
    }
    one["at_common_step"] = json_of(comparison.at_common_step(arm));
    one["reaches_target"] = {{"runs", arm.reaching.runs}};
    if (arm.reaching.runs > 0) {
      one["reaches_target"]["steps"] = json_of(arm.reaching.steps);
      one["reaches_target"]["seconds"] = json_of(arm.reaching.seconds);
    }
    if (comparison.evaluated_step > 0) one["evaluation"]["step"] = comparison.evaluated_step;
    for (const auto& [name, spread] : arm.evaluation) one["evaluation"][name] = json_of(spread);
    for (const ArmLoss& loss : arm.losses) one["held_out"].push_back(json_of(loss));
  }
  return json;
}

std::string to_text(const Comparison& comparison) {
  std::string text = fmt::format(
      "held-out loss at step {} (mean ± standard deviation), and the steps and time to "
      "the baseline's final {:.5g}\n",
      comparison.common_step, comparison.target);
  for (const Arm& arm : comparison.arms) {
    const Spread& loss = comparison.at_common_step(arm).loss;
    text += fmt::format("  {}: {:.5g} ± {:.2g}, {} runs; ", arm.name, loss.mean, loss.deviation,
                        arm.runs.size());
    if (arm.reaching.runs == 0) {
      text += "not reached\n";
    } else {
      text += fmt::format("{:.0f} steps, {}, by {} of them\n", arm.reaching.steps.mean,
                          format_duration(arm.reaching.seconds.mean), arm.reaching.runs);
    }
  }
  if (comparison.evaluated_step == 0) return text;
  text += fmt::format("evaluated at step {}\n", comparison.evaluated_step);
  for (const Arm& arm : comparison.arms) {
    text += fmt::format("  {}:", arm.name);
    for (const auto& [name, spread] : arm.evaluation) {
      text += fmt::format(" {} {:.5g} ± {:.2g}", name, spread.mean, spread.deviation);
    }
    text += '\n';
  }
  return text;
}

}  // namespace crescendo::pipelines
