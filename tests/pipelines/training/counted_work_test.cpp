// What a training step of a U-Net asks of LibTorch, counted: an operation too many, such as a copy
// to another layout before each convolution, slows every step down, and no other test would see it.

#include <map>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include <ATen/Functions.h>
#include <ATen/record_function.h>

#include "core/group_norm_kernel.h"
#include "diffusion/noise_schedule.h"
#include "pipelines/training/denoising_loss.h"
#include "pipelines/training/optimization.h"

namespace crescendo::pipelines {
namespace {

using Counts = std::map<std::string, int>;

Counts* counted = nullptr;

std::unique_ptr<at::ObserverContext> count(const at::RecordFunction& call) {
  ++(*counted)[call.name()];
  return nullptr;
}

/// The calls of ATen's operations on this thread by their names while it lives.
class OperationCounter {
 public:
  OperationCounter() : handle_(at::addThreadLocalCallback(at::RecordFunctionCallback(count))) {
    counted = &counts_;
  }
  ~OperationCounter() { at::removeCallback(handle_); }
  OperationCounter(const OperationCounter&) = delete;
  OperationCounter& operator=(const OperationCounter&) = delete;

  int operator[](const std::string& name) const {
    const auto found = counts_.find(name);
    return found == counts_.end() ? 0 : found->second;
  }

 private:
  Counts counts_;
  at::CallbackHandle handle_;
};

unet::UNet2DConditionOptions text_options() {
  unet::UNet2DConditionOptions options;
  options.block_out_channels = {32, 64};
  options.down_block_types = {"CrossAttnDownBlock2D", "DownBlock2D"};
  options.up_block_types = {"UpBlock2D", "CrossAttnUpBlock2D"};
  options.layers_per_block = {{1}};
  options.attention_head_dim = {{4}};
  options.cross_attention_dim = {{16}};
  return options;
}

TEST(CountedWorkTest, StepOfATextConditionalUnet) {
  at::manual_seed(0);
  unet::UNet2DConditionModel model(text_options());
  const unet::UNet2DConditionModel average(text_options());
  Optimization optimization(model.ptr(), average.ptr(), {});
  const diffusion::NoiseSchedule schedule{diffusion::DiffusionOptions{}};
  const at::Tensor latents = at::randn({2, 4, 8, 8});
  const NoisedBatch batch{.latents = latents,
                          .noise = at::randn_like(latents),
                          .levels = at::tensor({5, 900}),
                          .condition = {at::randn({2, 3, 16}), {}, {}}};
  const auto step = [&](std::int64_t number) {
    denoising_losses(model, schedule, batch, {}, {}).mean().backward();
    optimization.step(number);
  };
  step(0);
  const OperationCounter operations;
  step(1);
  // The arithmetic that the architecture has, each once forward and once backward.
  const bool fused = !group_norm_kernels().empty();
  const int pointwise = fused ? 5 : 0;      // convolutions that are products of matrices
  const int convolutions = fused ? 3 : 25;  // of few channels or of stride 2
  EXPECT_EQ(operations["aten::convolution"], convolutions);
  EXPECT_EQ(operations["aten::convolution_backward"], convolutions);
  EXPECT_EQ(operations["aten::native_group_norm"], fused ? 0 : 21);
  EXPECT_EQ(operations["aten::silu"], fused ? 2 : 19) << "those of the timestep's embedding";
  EXPECT_EQ(operations["aten::gelu"], fused ? 0 : 4);
  EXPECT_EQ(operations["aten::native_layer_norm"], 12);
  EXPECT_EQ(operations["aten::addmm"] + operations["aten::mm"], 165 + 3 * pointwise);
  EXPECT_EQ(operations["aten::_softmax"], 0) << "attention keeps no matrix of scores";
  EXPECT_EQ(operations["aten::_fused_adamw_"], 1);
  EXPECT_EQ(operations["aten::_foreach_lerp_"], 1);
  // What only moves numbers about: of a convolution by ATen the weight forward and backward and its
  // gradient, between their layout and that of the images.
  EXPECT_LE(operations["aten::clone"], fused ? 12 : 24);
  EXPECT_LE(operations["aten::cat"], 6);
  EXPECT_LE(operations["aten::copy_"], fused ? 65 : 275) << "a GEGLU adds its bias itself";
  EXPECT_LE(operations["aten::add_"], 30);
  EXPECT_LE(operations["aten::add"], 35) << "a convolution adds its block's input itself";
}

}  // namespace
}  // namespace crescendo::pipelines
