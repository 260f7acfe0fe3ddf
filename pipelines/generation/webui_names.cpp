#include "pipelines/generation/webui_names.h"

#include <algorithm>
#include <array>

namespace crescendo::pipelines {

namespace {

constexpr std::array<SamplerName, 7> kSamplers = {{
    {"Euler a", "k_euler_a", "euler_a", "discrete"},
    {"Euler", "k_euler", "euler", "discrete"},
    {"Heun", "k_heun", "heun", "discrete"},
    {"DPM++ 2M", "k_dpmpp_2m", "dpm++2m", "karras"},
    {"DPM++ 2M SDE", "k_dpmpp_2m_sde", "dpm++2m_sde", "exponential"},
    {"DDIM", "ddim", "ddim", "discrete"},
    {"DDPM", "ddpm", "ddpm", "discrete"},
}};

constexpr std::array<SchedulerName, 3> kSchedulers = {{
    {"Uniform", "uniform", "discrete"},
    {"Karras", "karras", "karras"},
    {"Exponential", "exponential", "exponential"},
}};

std::string lowercase(std::string_view text) {
  std::string lower(text);
  std::ranges::transform(lower, lower.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  });
  return lower;
}

const SamplerName* find_sampler(const std::string& lower) {
  const auto found = std::ranges::find_if(kSamplers, [&](const SamplerName& name) {
    return lower == lowercase(name.webui) || lower == name.alias || lower == name.ours;
  });
  return found == kSamplers.end() ? nullptr : &*found;
}

const SchedulerName* find_scheduler(const std::string& lower) {
  const auto found = std::ranges::find_if(kSchedulers, [&](const SchedulerName& name) {
    return lower == name.api || lower == name.ours;
  });
  return found == kSchedulers.end() ? nullptr : &*found;
}

}  // namespace

std::span<const SamplerName> sampler_names() { return kSamplers; }

std::span<const SchedulerName> scheduler_names() { return kSchedulers; }

std::string_view webui_sampler_name(std::string_view ours) {
  const auto found = std::ranges::find(kSamplers, ours, &SamplerName::ours);
  return found == kSamplers.end() ? ours : found->webui;
}

std::string_view webui_scheduler_name(std::string_view ours) {
  const auto found = std::ranges::find(kSchedulers, ours, &SchedulerName::ours);
  return found == kSchedulers.end() ? ours : found->label;
}

std::optional<SamplerChoice> choose_sampler(std::string_view sampler, std::string_view scheduler) {
  const std::string lower = lowercase(sampler);
  const SchedulerName* schedule = nullptr;
  const SamplerName* found = find_sampler(lower);
  if (const std::size_t space = lower.rfind(' '); !found && space != std::string::npos) {
    schedule = find_scheduler(lower.substr(space + 1));
    if (schedule) found = find_sampler(lower.substr(0, space));
  }
  if (!found) return std::nullopt;
  if (const std::string wanted = lowercase(scheduler); !wanted.empty() && wanted != "automatic") {
    schedule = find_scheduler(wanted);
    if (!schedule) return std::nullopt;
  }
  const bool has_schedule = found->ours != "ddim" && found->ours != "ddpm";
  return SamplerChoice{std::string(found->ours),
                       std::string(schedule && has_schedule ? schedule->ours : found->automatic)};
}

}  // namespace crescendo::pipelines
