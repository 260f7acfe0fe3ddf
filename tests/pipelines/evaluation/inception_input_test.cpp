#include "pipelines/evaluation/inception_input.h"

#include <gtest/gtest.h>

#include <ATen/Functions.h>

#include "tests/core/error_text.h"

namespace crescendo::pipelines {
namespace {

at::Tensor gray(std::int64_t side) { return at::full({1, 3, side, side}, 192, at::kByte); }

TEST(InceptionInputTest, KeepsAPlainImagePlainInEveryResize) {
  for (const char* name : {"clean", "legacy-tf"}) {
    const at::Tensor x = inception_input(gray(40), parse_feature_resize(name, "--resize"));
    EXPECT_EQ(x.sizes(), (std::vector<std::int64_t>{1, 3, 299, 299})) << name;
    EXPECT_TRUE(at::allclose(x, at::full_like(x, 0.5), 0, 1e-6)) << name;
  }
  const at::Tensor x = inception_input(gray(40), FeatureResize::kBilinear);
  EXPECT_TRUE(at::allclose(x, at::full_like(x, 2 * 192 / 255.0 - 1), 0, 1e-6));
}

TEST(InceptionInputTest, NoneKeepsTheSizeAndRefusesWhatIsTooSmall) {
  EXPECT_EQ(inception_input(gray(80), FeatureResize::kNone).size(3), 80);
  EXPECT_NE(error_text([] {
              inception_input(gray(74), FeatureResize::kNone);
            }).find("at least 75 pixels a side, found 74x74"),
            std::string::npos);
}

TEST(InceptionInputTest, NamesWhatAnUnknownResizeMayBe) {
  EXPECT_EQ(error_text([] { parse_feature_resize("bicubic", "--resize"); }),
            "--resize: expected clean, legacy-tf, bilinear or none, found 'bicubic'");
}

}  // namespace
}  // namespace crescendo::pipelines
