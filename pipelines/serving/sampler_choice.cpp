#include "pipelines/serving/sampler_choice.h"

#include <vector>

#include "pipelines/serving/api_error.h"

namespace crescendo::pipelines {

namespace {

template <typename Names, typename Name>
std::string listed(const Names& names, Name name) {
  std::vector<std::string_view> found;
  for (const auto& entry : names) found.push_back(entry.*name);
  return fmt::format("{}", fmt::join(found, ", "));
}

}  // namespace

SamplerChoice parse_sampler(std::string_view sampler, std::string_view scheduler) {
  if (const auto choice = choose_sampler(sampler, scheduler)) return *choice;
  if (choose_sampler(sampler, "")) {
    throw field_error(
        "scheduler", fmt::format("unknown scheduler '{}'; expected one of Automatic, {}", scheduler,
                                 listed(scheduler_names(), &SchedulerName::label)));
  }
  throw field_error("sampler_name", fmt::format("unknown sampler '{}'; expected one of {}", sampler,
                                                listed(sampler_names(), &SamplerName::webui)));
}

}  // namespace crescendo::pipelines
