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

std::string_view sampler_of_webui_name(std::string_view name) {
  const auto found = std::ranges::find_if(
      kSamplers, [&](const SamplerName& one) { return name == one.ours || name == one.webui; });
  return found == kSamplers.end() ? std::string_view() : found->ours;
}

}  // namespace crescendo::pipelines
