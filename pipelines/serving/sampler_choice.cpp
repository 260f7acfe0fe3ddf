#include "pipelines/serving/sampler_choice.h"

#include <algorithm>
#include <span>
#include <vector>

#include "pipelines/generation/webui_names.h"
#include "pipelines/serving/api_error.h"

namespace crescendo::pipelines {

namespace {

std::string lowercase(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

const SamplerName* find_sampler(const std::string& lower) {
  const std::span<const SamplerName> names = sampler_names();
  const auto found = std::ranges::find_if(names, [&](const SamplerName& name) {
    return lower == lowercase(name.webui) || lower == name.alias || lower == name.ours;
  });
  return found == names.end() ? nullptr : &*found;
}

const SchedulerName* find_scheduler(const std::string& lower) {
  const std::span<const SchedulerName> names = scheduler_names();
  const auto found = std::ranges::find_if(
      names, [&](const SchedulerName& name) { return lower == name.api || lower == name.ours; });
  return found == names.end() ? nullptr : &*found;
}

template <typename Names, typename Name>
std::string listed(const Names& names, Name name) {
  std::vector<std::string_view> found;
  for (const auto& entry : names) found.push_back(entry.*name);
  return fmt::format("{}", fmt::join(found, ", "));
}

}  // namespace

SamplerChoice parse_sampler(std::string_view sampler, std::string_view scheduler) {
  const std::string lower = lowercase(sampler);
  const SchedulerName* schedule = nullptr;
  const SamplerName* found = find_sampler(lower);
  if (const std::size_t space = lower.rfind(' '); !found && space != std::string::npos) {
    schedule = find_scheduler(lower.substr(space + 1));
    if (schedule) found = find_sampler(lower.substr(0, space));
  }
  if (!found) {
    throw field_error("sampler_name",
                      fmt::format("unknown sampler '{}'; expected one of {}", sampler,
                                  listed(sampler_names(), &SamplerName::webui)));
  }
  if (const std::string wanted = lowercase(scheduler); !wanted.empty() && wanted != "automatic") {
    schedule = find_scheduler(wanted);
    if (!schedule) {
      throw field_error("scheduler",
                        fmt::format("unknown scheduler '{}'; expected one of Automatic, {}",
                                    scheduler, listed(scheduler_names(), &SchedulerName::label)));
    }
  }
  const bool has_schedule = found->ours != "ddim" && found->ours != "ddpm";
  return {std::string(found->ours),
          std::string(schedule && has_schedule ? schedule->ours : found->automatic)};
}

}  // namespace crescendo::pipelines
