#include <gtest/gtest.h>

#include <ATen/ATen.h>

#include "core/module_io.h"
#include "tests/parity/fixtures.h"
#include "unet/unet_2d_condition.h"

namespace crescendo::unet {
namespace {

constexpr double kAtol = 1e-4;  // float32

void expect_close(const at::Tensor& found, const at::Tensor& expected, const std::string& what) {
  ASSERT_TRUE(found.defined()) << what;
  ASSERT_EQ(found.sizes(), expected.sizes()) << what;
  EXPECT_LE((found - expected).abs().max().item<double>(), kAtol) << what;
}

/// The tensor of that name, or an undefined one.
at::Tensor find(const TensorMap& tensors, const std::string& name) {
  const auto found = tensors.find(name);
  return found == tensors.end() ? at::Tensor() : found->second.clone();
}

class UnetParityTest : public testing::TestWithParam<const char*> {};

TEST_P(UnetParityTest, OutputAndGradientsEqualTheReferences) {
  const auto folder = parity_fixtures() / "unet" / GetParam();
  UNet2DConditionModel model = load_unet(folder);
  const TensorMap io = load_tensors(folder / "io.safetensors");

  const at::Tensor sample = find(io, "sample").set_requires_grad(true);
  Conditioning conditioning{find(io, "encoder_hidden_states"), find(io, "encoder_attention_mask"),
                            find(io, "class_labels")};
  at::Tensor& states = conditioning.encoder_hidden_states;
  if (states.defined()) states.set_requires_grad(true);
  const at::Tensor output = model(sample, io.at("timestep"), conditioning);
  expect_close(output, io.at("output"), "output");

  ((output * io.at("weight")).sum() * 0.1).backward();
  expect_close(sample.grad(), io.at("grad.sample"), "grad.sample");
  if (states.defined()) {
    expect_close(states.grad(), io.at("grad.encoder_hidden_states"), "grad.encoder_hidden_states");
  }
  for (const auto& parameter : model->named_parameters()) {
    const std::string name = "grad." + parameter.key();
    expect_close(parameter.value().grad(), io.at(name), name);
  }
}

INSTANTIATE_TEST_SUITE_P(Models, UnetParityTest,
                         testing::Values("text_mask", "text_linear", "class_scale_shift",
                                         "unconditional"));

}  // namespace
}  // namespace crescendo::unet
