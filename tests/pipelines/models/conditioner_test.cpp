#include "pipelines/models/conditioner.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "tests/pipelines/tiny_model.h"

namespace crescendo::pipelines {
namespace {

const std::vector<std::string> kCaptions{"a cup", "two birds", "a star"};

TEST(ConditionerTest, KindFollowsFromTheUNet) {
  for (const auto kind :
       {ConditioningKind::kNone, ConditioningKind::kClass, ConditioningKind::kText}) {
    EXPECT_EQ(conditioning_kind(tiny_model(kind).unet->options()), kind);
  }
}

TEST(ConditionerTest, TextIsWhatTheEncoderMakesOfIt) {
  const DiffusionModel model = tiny_model(ConditioningKind::kText);
  Conditioner conditioner = model.conditioner(at::kCPU);
  EXPECT_TRUE(conditioner.can_guide());
  const unet::Conditioning condition = conditioner.encode(kCaptions, {});
  EXPECT_EQ(condition.encoder_hidden_states.sizes(), (std::vector<std::int64_t>{3, 12, 16}));
  EXPECT_TRUE(
      at::equal(condition.encoder_hidden_states, model.text_encoder->encode(kCaptions).context));
  EXPECT_FALSE(condition.class_labels.defined());
  EXPECT_FALSE(condition.encoder_attention_mask.defined());
  const std::vector<std::string> empty{""};
  const at::Tensor none = conditioner.unconditional(2).encoder_hidden_states;
  EXPECT_EQ(none.size(0), 2);
  EXPECT_TRUE(at::equal(none[1], model.text_encoder->encode(empty).context[0]));
}

TEST(ConditionerTest, CountsTruncatedCaptions) {
  const DiffusionModel model = tiny_model(ConditioningKind::kText);
  Conditioner conditioner = model.conditioner(at::kCPU);
  conditioner.encode(kCaptions, {});
  EXPECT_EQ(conditioner.truncated_captions(), 0U);
  const std::vector<std::string> captions{"a cup", "a b c d e f g h i j k l m n o p"};
  conditioner.encode(captions, {});
  EXPECT_EQ(conditioner.truncated_captions(), 1U);
}

TEST(ConditionerTest, ClassesHaveANullClassOrCannotGuide) {
  DiffusionModel model = tiny_model(ConditioningKind::kClass);
  Conditioner conditioner = model.conditioner(at::kCPU);
  const std::vector<std::int64_t> labels{1, 0, 1};
  EXPECT_TRUE(at::equal(conditioner.encode({}, labels).class_labels, at::tensor(labels)));
  EXPECT_TRUE(at::equal(conditioner.unconditional(2).class_labels, at::full({2}, 2, at::kLong)));
  EXPECT_TRUE(conditioner.can_guide());
  model.null_class.reset();
  EXPECT_FALSE(model.conditioner(at::kCPU).can_guide());
  EXPECT_FALSE(tiny_model(ConditioningKind::kNone).conditioner(at::kCPU).can_guide());
}

TEST(ConditionerTest, ReplacesExactlyTheChosenRows) {
  const DiffusionModel model = tiny_model(ConditioningKind::kText);
  Conditioner conditioner = model.conditioner(at::kCPU);
  const unet::Conditioning condition = conditioner.encode(kCaptions, {});
  const unet::Conditioning empty = conditioner.unconditional(3);
  const at::Tensor replaced = at::tensor({0, 1, 0}, at::kLong).to(at::kBool);
  const at::Tensor mixed = replace_rows(condition, empty, replaced).encoder_hidden_states;
  EXPECT_TRUE(at::equal(mixed[0], condition.encoder_hidden_states[0]));
  EXPECT_TRUE(at::equal(mixed[1], empty.encoder_hidden_states[1]));
  EXPECT_TRUE(at::equal(mixed[2], condition.encoder_hidden_states[2]));
  ASSERT_FALSE(at::equal(condition.encoder_hidden_states[1], empty.encoder_hidden_states[1]));

  const unet::Conditioning labels{.encoder_hidden_states = {},
                                  .encoder_attention_mask = {},
                                  .class_labels = at::tensor({4, 5, 6}, at::kLong)};
  const unet::Conditioning nulls{.encoder_hidden_states = {},
                                 .encoder_attention_mask = {},
                                 .class_labels = at::full({3}, 9, at::kLong)};
  EXPECT_TRUE(at::equal(replace_rows(labels, nulls, replaced).class_labels,
                        at::tensor({4, 9, 6}, at::kLong)));
  EXPECT_TRUE(at::equal(concatenate(labels, nulls).class_labels,
                        at::tensor({4, 5, 6, 9, 9, 9}, at::kLong)));
}

}  // namespace
}  // namespace crescendo::pipelines
