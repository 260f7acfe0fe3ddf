#include "pipelines/generation/parameters_text.h"

#include <gtest/gtest.h>

namespace crescendo::pipelines {
namespace {

using Fields = std::map<std::string, std::string>;

TEST(ParseParametersTextTest, TakesApartWhatTheWebUiWrites) {
  const ParametersText parsed = parse_parameters_text(
      "girl with a beret, ((eyeshadow)),\n  by: two lines \nNegative prompt: ugly, fat,\nsecond\n"
      "Steps: 20, Sampler: Euler a, CFG scale: 7, Seed: 965400086, Size: 512x512, Model hash: "
      "45dee52b, Lora hashes: \"a: 1, \\\"b\\\": 2\", Version: v1.9.4\n");
  EXPECT_EQ(parsed.prompt, "girl with a beret, ((eyeshadow)),\nby: two lines");
  EXPECT_EQ(parsed.negative_prompt, "ugly, fat,\nsecond");
  EXPECT_EQ(parsed.fields, (Fields{{"Steps", "20"},
                                   {"Sampler", "Euler a"},
                                   {"CFG scale", "7"},
                                   {"Seed", "965400086"},
                                   {"Size", "512x512"},
                                   {"Model hash", "45dee52b"},
                                   {"Lora hashes", "a: 1, \"b\": 2"},
                                   {"Version", "v1.9.4"}}));
}

TEST(ParseParametersTextTest, PromptsMayBeMissing) {
  const ParametersText alone = parse_parameters_text("Steps: 1, Sampler: DDIM, Seed: 2");
  EXPECT_EQ(alone.prompt, "");
  EXPECT_EQ(alone.fields.size(), 3U);
  const ParametersText negative =
      parse_parameters_text("Negative prompt: x\nSteps: 1, Aa: 2, B/b: 3");
  EXPECT_EQ(negative.prompt, "");
  EXPECT_EQ(negative.negative_prompt, "x");
  EXPECT_EQ(parse_parameters_text("").prompt, "");
}

TEST(ParseParametersTextTest, FewerThanThreeFieldsArePrompt) {
  const ParametersText parsed = parse_parameters_text("a cat\nSteps: 1, Sampler: DDIM");
  EXPECT_EQ(parsed.prompt, "a cat\nSteps: 1, Sampler: DDIM");
  EXPECT_TRUE(parsed.fields.empty());
}

TEST(ParseParametersTextTest, WhatIsNoFieldIsPassedOver) {
  EXPECT_EQ(
      parse_parameters_text("Steps: 1, odd, : 3, (x): 4, Seed: \"2, Size: \"8\"x, Aa:").fields,
      (Fields{{"Steps", "1"}, {"Seed", "\"2"}, {"Size", "\"8\"x"}, {"Aa", ""}}));
}

}  // namespace
}  // namespace crescendo::pipelines
