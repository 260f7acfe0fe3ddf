#include "pipelines/monitoring/run_history.h"

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>
#include <utility>

namespace crescendo::pipelines {

using Json = nlohmann::ordered_json;

namespace {

constexpr std::size_t kPoints = 1000;        ///< of a curve
constexpr std::size_t kClusterPoints = 250;  ///< of each of many
constexpr std::array<std::string_view, 8> kNoCurves = {
    "step", "stage", "epoch", "samples", "images", "seconds", "data_seconds", "first_key"};

double number(const Json& line, const char* key) {
  const auto found = line.find(key);
  return found != line.end() && found->is_number() ? found->get<double>() : 0;
}

}  // namespace

std::vector<std::pair<std::string, double>> step_values(const Json& line) {
  std::vector<std::pair<std::string, double>> values;
  for (const auto& [key, value] : line.items()) {
    if (value.is_number() && std::ranges::find(kNoCurves, key) == kNoCurves.end()) {
      values.emplace_back(key, value.get<double>());
    }
  }
  const double seconds = number(line, "seconds");
  if (seconds <= 0) return values;
  if (line.contains("images")) values.emplace_back("images/s", number(line, "images") / seconds);
  if (line.contains("data_seconds")) {
    values.emplace_back("data wait", 100 * number(line, "data_seconds") / seconds);
  }
  return values;
}

void RunHistory::observe(const Json& line) {
  if (!line.is_object() || !line.contains("step") || !line["step"].is_number_integer()) return;
  step_ = std::max(step_, line["step"].get<std::int64_t>());
  const auto event = line.find("event");
  if (event == line.end()) {
    seconds_ += number(line, "seconds");
    for (const auto& [key, value] : step_values(line)) add(key, value);
  } else if (event->is_string()) {
    observe_event(event->get<std::string>(), line);
  }
}

void RunHistory::observe_event(const std::string& event, const Json& line) {
  const auto step = line["step"].get<std::int64_t>();
  if (event == "stage") {
    const auto reason = line.find("reason");
    stages_.push_back(
        {step, static_cast<std::int64_t>(number(line, "to")),
         reason != line.end() && reason->is_string() ? reason->get<std::string>() : "",
         static_cast<std::int64_t>(number(line, "steps_in_stage")), number(line, "best_loss")});
  } else if (event == "clusters") {
    const auto losses = line.find("losses");
    if (losses == line.end() || !losses->is_object()) return;
    for (const auto& [name, loss] : losses->items()) {
      if (!loss.is_number()) continue;
      clusters_.try_emplace(name, kClusterPoints).first->second.add(step, loss.get<double>());
    }
  } else if (event == "held_out") {
    observe_held_out(line);
  } else {
    StepEvaluation found{.step = step};
    for (const auto& [key, value] : line.items()) {
      if (value.is_number() && key != "step") found.metrics[key] = value.get<double>();
      if (key == "set" && value.is_string()) found.set = value.get<std::string>();
    }
    for (const auto& [key, value] : found.metrics) results_[key] = value;
    if (event == "evaluate") evaluations_.push_back(std::move(found));
  }
}

void RunHistory::observe_held_out(const Json& line) {
  const auto loss = line.find("loss");
  const auto losses = line.find("losses");
  const auto set = line.find("set");
  if (loss == line.end() || !loss->is_number() || losses == line.end() || !losses->is_object() ||
      set == line.end() || !set->is_string()) {
    return;
  }
  HeldOutLoss found{
      line["step"].get<std::int64_t>(), seconds_, loss->get<double>(), {}, set->get<std::string>()};
  for (const auto& [name, value] : losses->items()) {
    if (value.is_number()) found.clusters[name] = value.get<double>();
  }
  held_out_.push_back(std::move(found));
}

void RunHistory::add(const std::string& key, double value) {
  auto found = std::ranges::find(series_, key, &NamedSeries::first);
  if (found == series_.end()) {
    found = series_.insert(found, {key, DecimatedSeries(kPoints)});
  }
  found->second.add(step_, value);
}

const DecimatedSeries* RunHistory::find(const std::string& key) const {
  const auto found = std::ranges::find(series_, key, &NamedSeries::first);
  return found == series_.end() ? nullptr : &found->second;
}

RunHistory read_history(const std::filesystem::path& metrics) {
  RunHistory history;
  std::ifstream lines(metrics);
  for (std::string line; std::getline(lines, line);) {
    history.observe(Json::parse(line, nullptr, false));
  }
  return history;
}

}  // namespace crescendo::pipelines
