#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "pipelines/training/optimization.h"
#include "tests/parity/expect_close.h"
#include "tests/parity/fixtures.h"
#include "vae/autoencoder.h"

namespace crescendo::vae {
namespace {

constexpr int kOptimizerSteps = 10;
constexpr double kEpsilon = 1e-4;  // as in reference/vae.py, where it says why

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
  expect_close_gradients(*model_, io_);
}

TEST_P(VaeParityTest, TenOptimizerStepsEqualTheReferences) {
  // As in reference/vae.py, where it says why.
  const at::ScalarType dtype = GetParam() == std::string("tiny") ? at::kDouble : at::kFloat;
  model_->to(dtype);
  std::vector<at::Tensor> before;
  for (const at::Tensor& weight : model_->parameters()) before.push_back(weight.detach().clone());
  pipelines::Optimization optimization(model_, nullptr,
                                       {.learning_rate = 1e-3,
                                        .max_grad_norm = 0,
                                        .adam_weight_decay = 0.01,
                                        .adam_epsilon = kEpsilon});
  for (int step = 0; step < kOptimizerSteps; ++step) {
    const DiagonalGaussian posterior = model_->encode(io_.at("image").to(dtype));
    loss(model_->decode(posterior.sample(io_.at("noise").to(dtype))), posterior).backward();
    optimization.step(step);
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
