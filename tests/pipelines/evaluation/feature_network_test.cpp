#include "pipelines/evaluation/feature_network.h"

#include <array>

#include <gtest/gtest.h>

#include <ATen/Functions.h>
#include <torch/csrc/jit/api/module.h>

#include "core/atomic_file.h"
#include "pipelines/evaluation/sha256.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

class ScriptNetworkTest : public testing::Test {
 protected:
  std::filesystem::path script(const std::string& forward) {
    torch::jit::Module module("network");
    module.define(forward);
    module.save(folder_ / "network.pt");
    return folder_ / "network.pt";
  }
  std::unique_ptr<FeatureNetwork> open(const std::string& forward) {
    return open_feature_network(script(forward), {}, at::kCPU);
  }

  TemporaryFolder folder_;
  std::array<at::Tensor, 2> images_{at::full({2, 3, 5, 4}, 200, at::kByte),
                                    at::full({1, 3, 2, 2}, 100, at::kByte)};
};

TEST_F(ScriptNetworkTest, GetsBytesAsTheyAreAndGivesFeaturesInOrder) {
  const auto network = open("def forward(self, x):\n  return x.float().mean([2, 3])\n");
  const ImageFeatures seen = network->extract(images_);
  ASSERT_EQ(seen.values.sizes(), (std::vector<std::int64_t>{3, 3}));
  EXPECT_EQ(seen.values[0][0].item<double>(), 200);
  EXPECT_EQ(seen.values[2][0].item<double>(), 100);
  EXPECT_FALSE(seen.logits.defined());
  EXPECT_EQ(network->identity().name, "torchscript");
  EXPECT_EQ(network->identity().resize, "none");
  EXPECT_EQ(network->identity().sha256, sha256_of_file(folder_ / "network.pt"));
}

TEST_F(ScriptNetworkTest, MayGiveLogitsToo) {
  const auto network =
      open("def forward(self, x):\n  y = x.float().mean([2, 3])\n  return y, y[:, :2]\n");
  EXPECT_EQ(network->extract(images_).logits.size(1), 2);
}

TEST_F(ScriptNetworkTest, IsToldToReturnFeatures) {
  const auto network = open(
      "def forward(self, x, return_features: bool = False):\n"
      "  y = x.float().mean([2, 3])\n"
      "  return y if return_features else y[:, :1]\n");
  EXPECT_EQ(network->extract(images_).values.size(1), 3);
}

TEST_F(ScriptNetworkTest, MistakesAreNamed) {
  const auto text = [&](const std::string& forward) {
    return error_text([&] { open(forward)->extract(images_); });
  };
  EXPECT_NE(
      text("def forward(self, x):\n  return x.float()\n").find("expected features [2, D] of 2"),
      std::string::npos);
  EXPECT_NE(text("def forward(self, x):\n  return [1]\n").find("expected features [N,D], or"),
            std::string::npos);
  EXPECT_NE(
      text("def forward(self, x):\n  return x.view(7, 7)\n").find("it cannot take [2, 3, 5, 4]"),
      std::string::npos);
  EXPECT_NE(error_text([&] {
              open_feature_network(folder_ / "network.pt", FeatureResize::kClean, at::kCPU);
            }).find("expected none, found clean"),
            std::string::npos);
}

TEST(FeatureNetworkTest, WhatIsNoNetworkIsNamed) {
  const TemporaryFolder folder;
  EXPECT_TRUE(error_text([] {
                open_feature_network("", {}, at::kCPU);
              }).starts_with("--features: expected the file of a network"));
  EXPECT_NE(error_text([&] {
              open_feature_network(folder / "x.pt", {}, at::kCPU);
            }).find("found nothing at "),
            std::string::npos);
  write_file_atomically(folder / "x.pt", "text");
  EXPECT_NE(data_error_text([&] {
              open_feature_network(folder / "x.pt", {}, at::kCPU);
            }).find("found neither"),
            std::string::npos);
}

}  // namespace
}  // namespace crescendo::pipelines
