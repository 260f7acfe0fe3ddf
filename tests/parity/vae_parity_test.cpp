#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/module_io.h"
#include "tests/parity/fixtures.h"
#include "vae/autoencoder.h"

namespace crescendo::vae {
namespace {

constexpr double kAtol = 1e-4;  // float32
constexpr int kOptimizerSteps = 10;
constexpr double kEpsilon = 1e-6;  // as in reference/vae.py, where it says why

void expect_close(const at::Tensor& found, const at::Tensor& expected, const std::string& what) {
  ASSERT_TRUE(found.defined()) << what;
  ASSERT_EQ(found.sizes(), expected.sizes()) << what;
  EXPECT_LE((found - expected).abs().max().item<double>(), kAtol) << what;
}

class VaeParityTest : public testing::TestWithParam<const char*> {
 protected:
  /// The loss that the reference was given.
  at::Tensor loss(const at::Tensor& decoded, const DiagonalGaussian& posterior) const {
    const at::Tensor error = (decoded * io_.at("weight")).sum() * 0.01;
    return io_.contains("kl") ? error + posterior.kl().mean() * 0.01 : error;
  }

  const std::filesystem::path folder_ = parity_fixtures() / "vae" / GetParam();
  const std::shared_ptr<Autoencoder> model_ = load_autoencoder(folder_);
  const TensorMap io_ = load_tensors(folder_ / "io.safetensors");
};

TEST_P(VaeParityTest, OutputsAndGradientsEqualTheReferences) {
  const at::Tensor image = io_.at("image").clone().set_requires_grad(true);
  const DiagonalGaussian posterior = model_->encode(image);
  const at::Tensor latents = posterior.sample(io_.at("noise"));
  const at::Tensor decoded = model_->decode(latents);
  expect_close(posterior.mean, io_.at("mean"), "mean");
  if (io_.contains("logvar")) {
    expect_close(posterior.logvar, io_.at("logvar"), "logvar");
    expect_close(posterior.kl(), io_.at("kl"), "kl");
  }
  expect_close(latents, io_.at("latents"), "latents");
  expect_close(decoded, io_.at("decoded"), "decoded");

  loss(decoded, posterior).backward();
  expect_close(image.grad(), io_.at("grad.image"), "grad.image");
  for (const auto& parameter : model_->named_parameters()) {
    const std::string name = "grad." + parameter.key();
    expect_close(parameter.value().grad(), io_.at(name), name);
  }
}

TEST_P(VaeParityTest, TenOptimizerStepsEqualTheReferences) {
  std::vector<at::Tensor> weights = model_->parameters();
  std::vector<at::Tensor> before;
  std::vector<at::Tensor> moments;
  std::vector<at::Tensor> squares;
  for (const at::Tensor& weight : weights) {
    before.push_back(weight.detach().clone());
    moments.push_back(at::zeros_like(weight));
    squares.push_back(at::zeros_like(weight));
  }
  for (int step = 1; step <= kOptimizerSteps; ++step) {
    const DiagonalGaussian posterior = model_->encode(io_.at("image"));
    model_->zero_grad();
    loss(model_->decode(posterior.sample(io_.at("noise"))), posterior).backward();
    const c10::NoGradGuard no_grad;
    std::vector<at::Tensor> gradients;
    for (const at::Tensor& weight : weights) gradients.push_back(weight.grad());
    const std::vector<at::Tensor> counts(weights.size(), at::full({}, step, at::kFloat));
    at::_fused_adamw_(weights, gradients, moments, squares, /*max_exp_avg_sqs=*/{}, counts,
                      /*lr=*/1e-3, /*beta1=*/0.9, /*beta2=*/0.999, /*weight_decay=*/0.01, kEpsilon,
                      /*amsgrad=*/false, /*maximize=*/false);
  }
  std::size_t i = 0;
  for (const auto& parameter : model_->named_parameters()) {
    const std::string name = "moved." + parameter.key();
    expect_close(parameter.value().detach() - before[i++], io_.at(name), name);
  }
}

TEST_P(VaeParityTest, TiledOutputsEqualTheReferences) {
  const c10::NoGradGuard no_grad;
  model_->enable_tiling(io_.at("tiled.size").item<std::int64_t>());
  expect_close(model_->encode(io_.at("tiled.image")).mean, io_.at("tiled.mean"), "mean");
  expect_close(model_->decode(io_.at("tiled.latents")), io_.at("tiled.decoded"), "decoded");
}

INSTANTIATE_TEST_SUITE_P(Models, VaeParityTest,
                         testing::Values("quant_attention", "plain", "tiny"));

}  // namespace
}  // namespace crescendo::vae
