#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/module_io.h"
#include "tests/parity/fixtures.h"
#include "vae/autoencoder_kl.h"

namespace crescendo::vae {
namespace {

constexpr double kAtol = 1e-4;  // float32

void expect_close(const at::Tensor& found, const at::Tensor& expected, const std::string& what) {
  ASSERT_TRUE(found.defined()) << what;
  ASSERT_EQ(found.sizes(), expected.sizes()) << what;
  EXPECT_LE((found - expected).abs().max().item<double>(), kAtol) << what;
}

class VaeParityTest : public testing::TestWithParam<const char*> {};

TEST_P(VaeParityTest, OutputsAndGradientsEqualTheReferences) {
  const auto folder = parity_fixtures() / "vae" / GetParam();
  AutoencoderKL model = load_autoencoder_kl(folder);
  const TensorMap io = load_tensors(folder / "io.safetensors");

  const at::Tensor image = io.at("image").clone().set_requires_grad(true);
  const DiagonalGaussian posterior = model->encode(image);
  const at::Tensor latents = posterior.sample(io.at("noise"));
  const at::Tensor decoded = model->decode(latents);
  expect_close(posterior.mean, io.at("mean"), "mean");
  expect_close(posterior.logvar, io.at("logvar"), "logvar");
  expect_close(posterior.kl(), io.at("kl"), "kl");
  expect_close(latents, io.at("latents"), "latents");
  expect_close(decoded, io.at("decoded"), "decoded");

  ((decoded * io.at("weight")).sum() * 0.01 + posterior.kl().mean() * 0.01).backward();
  expect_close(image.grad(), io.at("grad.image"), "grad.image");
  for (const auto& parameter : model->named_parameters()) {
    const std::string name = "grad." + parameter.key();
    expect_close(parameter.value().grad(), io.at(name), name);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, VaeParityTest, testing::Values("quant_attention", "plain"));

}  // namespace
}  // namespace crescendo::vae
