#include "pipelines/training/trainable.h"

#include <set>

#include <gtest/gtest.h>

#include "tests/core/error_text.h"
#include "tests/pipelines/tiny_model.h"

namespace crescendo::pipelines {
namespace {

std::set<std::string> trained(const torch::nn::Module& module) {
  std::set<std::string> names;
  for (const auto& item : module.named_parameters()) {
    if (item.value().requires_grad()) names.insert(item.key());
  }
  return names;
}

class TrainableTest : public testing::Test {
 protected:
  TrainableTest() : unet_(tiny_model(ConditioningKind::kText).unet) {}

  void select(const std::vector<std::string>& patterns) { select_trainable(*unet_, patterns); }

  unet::UNet2DConditionModel unet_;
};

TEST_F(TrainableTest, WithoutPatternsAllAre) {
  select({});
  EXPECT_EQ(trained(*unet_).size(), unet_->parameters().size());
}

TEST_F(TrainableTest, PatternsAreGlobsOverTheWholeName) {
  select({"*attn2.to_?.weight", "conv_in.bias"});
  const std::set<std::string> names = trained(*unet_);
  EXPECT_TRUE(names.contains("conv_in.bias"));
  std::size_t queries = 0;
  for (const std::string& name : names) {
    EXPECT_TRUE(name == "conv_in.bias" || name.find(".attn2.to_") != std::string::npos) << name;
    queries += name.ends_with("attn2.to_q.weight") ? 1 : 0;
  }
  EXPECT_GT(queries, 0U);
  EXPECT_EQ(names.size(), 3 * queries + 1);
}

TEST_F(TrainableTest, APatternThatMatchesNoneIsTheUsersError) {
  EXPECT_EQ(error_text([&] {
              select({"conv_in.*", "*.atn2.*"});
            }),
            "train.trainable: '*.atn2.*' matches no parameter; did you mean 'attn2' for 'atn2'?");
  EXPECT_EQ(trained(*unet_).size(), unet_->parameters().size()) << "nothing was frozen";
  EXPECT_TRUE(error_text([&] {
                select({"conv_in"});
              }).starts_with("train.trainable: 'conv_in' matches no parameter; the names are:\n"));
}

}  // namespace
}  // namespace crescendo::pipelines
