#include "pipelines/generation/prompt_truncation.h"

#include <gtest/gtest.h>

#include "pipelines/models/model_folder.h"
#include "tests/pipelines/tiny_model.h"

namespace crescendo::pipelines {
namespace {

TEST(PromptTruncationTest, NamesTheWordsThatAreNotSeen) {
  const auto encoder = open_text_encoder(text_encoder_folder(), 12);
  EXPECT_EQ(truncated_end(*encoder, "a cat"), "");
  EXPECT_EQ(truncated_end(*encoder, ""), "");
  // Two of the twelve frame the prompt.
  EXPECT_EQ(truncated_end(*encoder, "a a a a a a a a a a"), "");
  EXPECT_EQ(truncated_end(*encoder, "a a a a a a a a a a b  c"), "b  c");
  EXPECT_EQ(truncated_end(*encoder, "abcabcabcabcabcabcabcabcabcabcabcabcabcabc 1").back(), '1');
}

}  // namespace
}  // namespace crescendo::pipelines
