#include <cmath>
#include <vector>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <ATen/Functions.h>
#include <ATen/TensorOperators.h>
#include <c10/core/GradMode.h>

#include "core/fields.h"
#include "core/tensor_io.h"
#include "pipelines/evaluation/clip_model.h"
#include "pipelines/evaluation/frechet.h"
#include "pipelines/evaluation/inception.h"
#include "pipelines/evaluation/inception_input.h"
#include "pipelines/evaluation/inception_score.h"
#include "pipelines/evaluation/kernel_distance.h"
#include "pipelines/evaluation/precision_recall.h"
#include "tests/core/temporary_folder.h"
#include "tests/parity/expect_close.h"
#include "tests/parity/fixtures.h"

namespace crescendo::pipelines {
namespace {

const std::filesystem::path& fixtures() {
  static const std::filesystem::path folder = parity_fixtures() / "evaluation";
  return folder;
}

class EvaluationParityTest : public ::testing::Test {
 protected:
  Moments moments_of(const std::string& name) const {
    FeatureStatistics statistics;
    for (const at::Tensor& batch : features_.at(name).split(17)) statistics.add(batch);
    return statistics.moments();
  }
  double value(const char* name) const { return values_.at(name).get<double>(); }

  nlohmann::json values_ = read_json_file(fixtures() / "values.json");
  TensorMap features_ = load_tensors(fixtures() / "features.safetensors");
};

TEST_F(EvaluationParityTest, FrechetDistance) {
  const double found = frechet_distance(moments_of("first"), moments_of("second"));
  EXPECT_NEAR(found, value("fid_pytorch_fid"), 1e-6 * found);
  EXPECT_NEAR(found, value("fid_torch_fidelity"), 1e-6 * found);
}

TEST_F(EvaluationParityTest, FrechetDistanceOfFewerImagesThanFeatures) {
  const double found = frechet_distance(moments_of("few"), moments_of("second"));
  EXPECT_NEAR(found, value("fid_few"), 1e-5 * found);
}

TEST_F(EvaluationParityTest, KernelDistance) {
  const auto found =
      kernel_distance(features_.at("first"), features_.at("second"),
                      {.subsets = values_.at("kid_subsets").get<std::int64_t>(),
                       .subset_size = values_.at("kid_subset_size").get<std::int64_t>()});
  EXPECT_NEAR(found.mean, value("kid_mean"), 1e-6);
  EXPECT_NEAR(found.std, value("kid_std"), 1e-6);
}

TEST_F(EvaluationParityTest, KernelDistanceOfTorchmetrics) {
  const auto found = kernel_distance(features_.at("first").slice(0, 0, 240), features_.at("second"),
                                     {.subsets = 1, .subset_size = 240});
  EXPECT_NEAR(found.mean, value("kid_torchmetrics"), 1e-6);
}

TEST_F(EvaluationParityTest, PrecisionAndRecall) {
  const auto found = precision_recall(features_.at("first"), features_.at("second"));
  EXPECT_NEAR(found.precision, value("precision"), 1e-6);
  EXPECT_NEAR(found.recall, value("recall"), 1e-6);
}

TEST_F(EvaluationParityTest, InceptionScore) {
  const auto found = inception_score(features_.at("first"));
  EXPECT_NEAR(found.mean, value("is_mean"), 1e-6);
  EXPECT_NEAR(found.std, value("is_std"), 1e-6);
}

// --- The network ---

/// As uniform() of reference/evaluation.py.
at::Tensor uniform(std::int64_t count, std::int64_t stream) {
  constexpr std::int64_t k32Bits = 0xFFFFFFFF;
  at::Tensor bits =
      (at::arange(count, at::kLong) * 2654435761 + (stream * 40503 + 12345)).bitwise_and(k32Bits);
  bits = (bits.bitwise_xor(bits.bitwise_right_shift(16)) * 73244475).bitwise_and(k32Bits);
  bits = bits.bitwise_xor(bits.bitwise_right_shift(16));
  return (bits.to(at::kDouble) / 2147483648.0 - 1).to(at::kFloat);
}

/// As random_state() there.
void fill_weights(torch::nn::Module& model) {
  const c10::NoGradGuard no_grad;
  std::int64_t stream = 0;
  for (auto& [name, tensor] : state_of(model)) {
    at::Tensor values = uniform(tensor.numel(), stream++).view(tensor.sizes());
    if (values.dim() > 1) {
      values = values * std::sqrt(6.0 / static_cast<double>(values[0].numel()));
    } else if (name.ends_with("bn.weight") || name.ends_with("running_var")) {
      values = 1 + 0.2 * values;
    } else {
      values = 0.2 * values;
    }
    tensor.copy_(values);
  }
}

void expect_relatively_close(const at::Tensor& found, const at::Tensor& expected,
                             const char* what) {
  expect_close(found, expected, what, 1e-4 * expected.abs().max().item<double>());
}

TEST(InceptionParityTest, FeaturesAfterAWayThroughAFile) {
  const TensorMap io = load_tensors(fixtures() / "inception.safetensors");
  const TemporaryFolder folder;
  Inception made;
  fill_weights(*made);
  save_weights(*made, folder / "inception.safetensors");
  Inception inception = load_inception(folder / "inception.safetensors", at::kCPU);
  const auto pytorch_fid =
      inception->forward(inception_input(io.at("images"), FeatureResize::kBilinear));
  const auto torch_fidelity =
      inception->forward(inception_input(io.at("images"), FeatureResize::kLegacyTf));
  expect_relatively_close(pytorch_fid.pool, io.at("pool"), "pool");
  expect_relatively_close(torch_fidelity.pool, io.at("legacy_pool"), "legacy_pool");
  expect_relatively_close(torch_fidelity.logits, io.at("logits"), "logits");
}

TEST(InceptionParityTest, CleanResizeIsPillowsOfFloats) {
  const TensorMap io = load_tensors(fixtures() / "inception.safetensors");
  const auto resized = [](const at::Tensor& images) {
    const at::Tensor bytes = inception_input(images, FeatureResize::kClean) * 128 + 128;
    return bytes.slice(2, 0, 299, 13).slice(3, 0, 299, 13);
  };
  expect_close(resized(io.at("images")), io.at("clean"), "enlarged", 1e-4);  // of 255
  expect_close(resized(io.at("large")), io.at("large_clean"), "shrunken", 1e-4);
}

// --- CLIP ---

TEST(ClipParityTest, ImagesAndTexts) {
  const TensorMap io = load_tensors(fixtures() / "clip" / "io.safetensors");
  const std::vector<at::Tensor> images{io.at("wide"), io.at("tall")};
  ClipModel model = load_clip_model(fixtures() / "clip", at::kCPU);
  const c10::NoGradGuard no_grad;
  const at::Tensor pixels = clip_pixels(images, 32);
  expect_relatively_close(model->image_features(pixels), io.at("images"), "images");
  expect_relatively_close(model->text_features(io.at("ids"), io.at("mask")), io.at("texts"),
                          "texts");
}

}  // namespace
}  // namespace crescendo::pipelines
