#include "pipelines/evaluation/feature_set.h"

#include <gtest/gtest.h>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>

#include "tests/core/error_text.h"

namespace crescendo::pipelines {
namespace {

/// Images of one level each; every third is wider than the others.
class LevelSource : public ImageSource {
 public:
  explicit LevelSource(int count) : count_(count) {}
  std::uint64_t size() const override { return static_cast<std::uint64_t>(count_); }
  std::uint64_t skipped() const override { return 5; }
  std::optional<SourceImage> next() override {
    if (given_ == count_) return std::nullopt;
    const std::int64_t width = given_ % 3 == 0 ? 4 : 2;
    const auto level = static_cast<std::uint8_t>(given_);
    SourceImage image{
        fmt::format("image {}", given_),
        {width, 1, std::vector<std::uint8_t>(static_cast<std::size_t>(width) * 3, level)}};
    image.caption = given_ == 1 ? "a caption" : "";
    ++given_;
    return image;
  }

 private:
  int count_;
  int given_ = 0;
};

/// The features of an image are its mean level, and its square.
class LevelNetwork : public FeatureNetwork {
 public:
  explicit LevelNetwork(double bad = -1)
      : FeatureNetwork({"levels", "00", "none"}, at::kCPU), bad_(bad) {}
  ImageFeatures extract(std::span<const at::Tensor> images) override {
    std::vector<at::Tensor> levels;
    for (const at::Tensor& part : images) levels.push_back(part.to(at::kFloat).mean({1, 2, 3}));
    at::Tensor level = at::cat(levels);
    level = at::where(level == bad_, level / 0, level);
    return {at::stack({level, level.square()}, 1), {}};
  }

 private:
  double bad_;
};

FeatureSet extract(const FeatureSetOptions& options, double bad = -1) {
  LevelSource source(10);
  LevelNetwork network(bad);
  return extract_features(source, network, options);
}

TEST(FeatureSetTest, HoldsEveryImageInItsOrderWhateverTheSizes) {
  const FeatureSet set = extract({.batch_size = 4, .keep_features = 10});
  EXPECT_EQ(set.count(), 10);
  const at::Tensor levels = at::arange(10).to(at::kFloat);
  EXPECT_TRUE(at::equal(set.features, at::stack({levels, levels.square()}, 1)));
  EXPECT_NEAR(set.statistics.moments().mean[0].item<double>(), 4.5, 1e-12);
  EXPECT_EQ(set.skipped, 5U);
  EXPECT_EQ(set.captions, (std::vector<std::string>{"a caption"}));
}

TEST(FeatureSetTest, HashDependsOnTheImagesAlone) {
  EXPECT_EQ(extract({.batch_size = 4}).sha256, extract({.batch_size = 10}).sha256);
  LevelSource nine(9);
  LevelNetwork network;
  EXPECT_NE(extract_features(nine, network, {}).sha256, extract({}).sha256);
}

TEST(FeatureSetTest, MoreFeaturesThanMayBeKeptAreNotKept) {
  EXPECT_FALSE(extract({.batch_size = 4, .keep_features = 9}).features.defined());
  EXPECT_FALSE(extract({.batch_size = 4}).features.defined());
}

TEST(FeatureSetTest, AnImageWhoseFeaturesAreNotFiniteIsNamed) {
  EXPECT_TRUE(error_text([] {
                extract({.batch_size = 4}, /*bad=*/6);
              }).starts_with("image 6: its features are not finite"));
}

TEST(FeatureSetTest, OtherKindsOfNetworksAreRefused) {
  EXPECT_TRUE(error_text([] { extract({.dimension = 2048}); })
                  .starts_with("--reference: expected statistics of 2 features, as --features "
                               "gives, found 2048"));
  EXPECT_TRUE(error_text([] {
                extract({.keep_logits = true});
              }).starts_with("is: expected a network that returns (features, logits)"));
}

}  // namespace
}  // namespace crescendo::pipelines
