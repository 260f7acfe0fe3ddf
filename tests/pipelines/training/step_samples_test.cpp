#include "pipelines/training/step_samples.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "pipelines/training/training_loop.h"

namespace crescendo::pipelines {
namespace {

ForwardPass pass(std::vector<std::string> keys, std::vector<std::uint64_t> ordinals,
                 std::vector<float> losses) {
  const at::Tensor all = at::tensor(losses);
  return {.losses = all,
          .keys = std::move(keys),
          .ordinals = std::move(ordinals),
          .parts = {{"half", all / 2}},
          .data_seconds = 0.5};
}

TEST(StepSamplesTest, ComeInTheOrderOfTheirOrdinals) {
  StepSamples samples;
  samples.add(pass({"e", "a"}, {9, 5}, {4, 0.5}));
  samples.add(pass({"c", "b"}, {7, 6}, {2, 1}));
  samples = samples_of_all(std::move(samples), alone());
  EXPECT_EQ(samples.keys, (std::vector<std::string>{"a", "b", "c", "e"}));
  EXPECT_EQ(samples.ordinals, (std::vector<std::uint64_t>{5, 6, 7, 9}));
  EXPECT_EQ(samples.losses, (std::vector<double>{0.5, 1, 2, 4}));
  ASSERT_EQ(samples.parts.size(), 1U);
  EXPECT_EQ(samples.parts[0].first, "half");
  EXPECT_EQ(samples.parts[0].second, (std::vector<double>{0.25, 0.5, 1, 2}));
  EXPECT_EQ(samples.data_seconds, 1);
  EXPECT_EQ(mean_of(samples.losses), 1.875);
}

TEST(StepSamplesTest, StayAsTheyCameWithoutOrdinals) {
  StepSamples samples;
  samples.add(pass({"b", "a"}, {}, {1, 2}));
  samples = samples_of_all(std::move(samples), alone());
  EXPECT_EQ(samples.keys, (std::vector<std::string>{"b", "a"}));
}

}  // namespace
}  // namespace crescendo::pipelines
