#include "pipelines/training/step_samples.h"

#include <algorithm>
#include <numeric>

#include <nlohmann/json.hpp>

#include <ATen/Functions.h>

#include "pipelines/training/training_loop.h"

namespace crescendo::pipelines {

namespace {

using Json = nlohmann::json;

template <typename Value>
void append(std::vector<Value>& to, const std::vector<Value>& from) {
  to.insert(to.end(), from.begin(), from.end());
}

std::vector<double> values_of(const at::Tensor& tensor) {
  const at::Tensor host = tensor.detach().to(at::kCPU, at::kDouble).contiguous();
  const auto* values = host.const_data_ptr<double>();
  return {values, values + host.numel()};
}

void append(StepSamples& to, const StepSamples& from) {
  append(to.keys, from.keys);
  append(to.ordinals, from.ordinals);
  append(to.losses, from.losses);
  for (std::size_t i = 0; i < from.parts.size(); ++i) {
    if (to.parts.size() == i) to.parts.emplace_back(from.parts[i].first, std::vector<double>());
    append(to.parts[i].second, from.parts[i].second);
  }
  to.data_seconds = std::max(to.data_seconds, from.data_seconds);
  to.stopped = to.stopped || from.stopped;
}

/// Whatever bytes the keys are of.
std::string to_bytes(const StepSamples& samples) {
  std::string bytes;
  Json::to_msgpack(Json{samples.keys, samples.ordinals, samples.losses, samples.parts,
                        samples.data_seconds, samples.stopped},
                   bytes);
  return bytes;
}

StepSamples from_bytes(const std::string& bytes) {
  StepSamples samples;
  const Json fields = Json::from_msgpack(bytes);
  fields.at(0).get_to(samples.keys);
  fields.at(1).get_to(samples.ordinals);
  fields.at(2).get_to(samples.losses);
  fields.at(3).get_to(samples.parts);
  fields.at(4).get_to(samples.data_seconds);
  fields.at(5).get_to(samples.stopped);
  return samples;
}

void sort_by_ordinal(StepSamples& samples) {
  if (std::ranges::is_sorted(samples.ordinals)) return;
  std::vector<std::size_t> order(samples.ordinals.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::sort(order, {}, [&](std::size_t i) { return samples.ordinals[i]; });
  const auto reorder = [&order](auto& values) {
    auto sorted = values;
    for (std::size_t i = 0; i < order.size(); ++i) sorted[i] = values[order[i]];
    values = std::move(sorted);
  };
  reorder(samples.keys);
  reorder(samples.losses);
  for (auto& [name, values] : samples.parts) reorder(values);
  reorder(samples.ordinals);
}

}  // namespace

void StepSamples::add(const ForwardPass& pass) {
  StepSamples more{.keys = pass.keys, .ordinals = pass.ordinals, .losses = values_of(pass.losses)};
  for (const auto& [name, values] : pass.parts) more.parts.emplace_back(name, values_of(values));
  append(*this, more);
  data_seconds += pass.data_seconds;
}

StepSamples samples_of_all(StepSamples here, Communicator& ranks) {
  if (ranks.size() > 1) {
    const std::vector<std::string> each = ranks.gather(to_bytes(here));
    here = {};
    for (const std::string& bytes : each) append(here, from_bytes(bytes));
  }
  sort_by_ordinal(here);
  return here;
}

double mean_of(const std::vector<double>& values) {
  return std::reduce(values.begin(), values.end()) / static_cast<double>(values.size());
}

}  // namespace crescendo::pipelines
