#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace crescendo::pipelines {

/// A sampler as AUTOMATIC1111 names it, and as `crescendo generate` does.
struct SamplerName {
  std::string_view webui;
  std::string_view alias;  ///< k-diffusion's
  std::string_view ours;
  std::string_view automatic;  ///< our scheduler where theirs is "Automatic"
};

std::span<const SamplerName> sampler_names();

struct SchedulerName {
  std::string_view label;  ///< as their page shows it
  std::string_view api;
  std::string_view ours;
};

/// Without "Automatic", which depends on the sampler.
std::span<const SchedulerName> scheduler_names();

/// "Euler a" for euler_a; what they have no name for keeps ours.
std::string_view webui_sampler_name(std::string_view ours);
std::string_view webui_scheduler_name(std::string_view ours);

struct SamplerChoice {
  std::string sampler{};    ///< ours
  std::string scheduler{};  ///< ours
};

/// The other way round: their names or our own, in any case. "" for `scheduler` or "Automatic" is
/// what goes with the sampler, and "DPM++ 2M Karras", as older ones of theirs write, has both in
/// one. None where either is unknown.
std::optional<SamplerChoice> choose_sampler(std::string_view sampler, std::string_view scheduler);

}  // namespace crescendo::pipelines
