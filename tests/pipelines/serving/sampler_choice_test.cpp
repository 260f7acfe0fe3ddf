#include "pipelines/serving/sampler_choice.h"

#include <gtest/gtest.h>

#include "pipelines/serving/api_error.h"

namespace crescendo::pipelines {
namespace {

std::string chosen(std::string_view sampler, std::string_view scheduler = "") {
  const SamplerChoice choice = parse_sampler(sampler, scheduler);
  return choice.sampler + "/" + choice.scheduler;
}

TEST(SamplerChoiceTest, TakesTheirNamesAndOurs) {
  EXPECT_EQ(chosen("Euler a"), "euler_a/discrete");
  EXPECT_EQ(chosen("euler_a"), "euler_a/discrete");
  EXPECT_EQ(chosen("k_euler_a"), "euler_a/discrete");
  EXPECT_EQ(chosen("DDIM"), "ddim/discrete");
  EXPECT_EQ(chosen("Heun", "Exponential"), "heun/exponential");
  EXPECT_EQ(chosen("DPM++ 2M", "uniform"), "dpm++2m/discrete");
}

TEST(SamplerChoiceTest, AutomaticGoesWithTheSampler) {
  EXPECT_EQ(chosen("DPM++ 2M", "Automatic"), "dpm++2m/karras");
  EXPECT_EQ(chosen("DPM++ 2M SDE"), "dpm++2m_sde/exponential");
  EXPECT_EQ(chosen("Euler", "automatic"), "euler/discrete");
}

TEST(SamplerChoiceTest, OlderClientsNameBothInOne) {
  EXPECT_EQ(chosen("DPM++ 2M Karras"), "dpm++2m/karras");
  EXPECT_EQ(chosen("DPM++ 2M SDE Karras"), "dpm++2m_sde/karras");
  EXPECT_EQ(chosen("Euler Karras", "Exponential"), "euler/exponential");
}

TEST(SamplerChoiceTest, StepsOfTheScheduleHaveNoOther) {
  EXPECT_EQ(chosen("DDIM", "Karras"), "ddim/discrete");
}

TEST(SamplerChoiceTest, AnUnknownOneListsTheKnown) {
  const auto message = [](std::string_view sampler, std::string_view scheduler) -> std::string {
    try {
      parse_sampler(sampler, scheduler);
    } catch (const ApiError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(message("PLMS", ""),
            "sampler_name: unknown sampler 'PLMS'; expected one of Euler a, Euler, Heun, DPM++ 2M, "
            "DPM++ 2M SDE, DDIM, DDPM");
  EXPECT_EQ(message("Euler", "Beta"),
            "scheduler: unknown scheduler 'Beta'; expected one of Automatic, Uniform, Karras, "
            "Exponential");
  EXPECT_NE(message(" Karras", ""), "");
}

}  // namespace
}  // namespace crescendo::pipelines
