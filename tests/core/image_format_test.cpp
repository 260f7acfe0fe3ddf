#include "core/image_format.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <torch/nn/modules/conv.h>

#include "core/group_norm_kernel.h"
#include "core/module_io.h"
#include "tests/core/temporary_folder.h"

namespace crescendo {
namespace {

TEST(ImageFormatTest, IsChannelsLastWhereThereIsAKernel) {
  const auto expected =
      group_norm_kernels().empty() ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast;
  EXPECT_EQ(image_format(at::dtype(at::kFloat)), expected);
  EXPECT_EQ(image_format(at::dtype(at::kDouble)), at::MemoryFormat::Contiguous);
  EXPECT_EQ(image_format(at::dtype(at::kFloat).device(at::kCUDA)), at::MemoryFormat::Contiguous);
}

TEST(MoveToTest, KeepsWeightsAndWhatIsSavedOfThem) {
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 5, 3));
  conv->to(at::kBFloat16);
  const at::Tensor weight = conv->weight.detach().clone();
  const at::Tensor parameter = conv->weight;
  move_to(*conv, at::kCPU);
  EXPECT_TRUE(conv->weight.is_contiguous(image_format(weight.options())));
  EXPECT_TRUE(at::equal(conv->weight, weight));
  EXPECT_TRUE(parameter.is_same(conv->weight));
  EXPECT_TRUE(conv->weight.requires_grad());

  const TemporaryFolder folder;
  save_weights(*conv, folder.path() / "conv.safetensors");
  const WeightFiles files(folder.path() / "conv.safetensors");
  const auto read = load_module<torch::nn::Conv2d>(files, {}, torch::nn::Conv2dOptions(3, 5, 3));
  EXPECT_TRUE(at::equal(read->weight, weight));
}

TEST(MoveToTest, CopiesNothingOfAFloatModel) {
  torch::nn::Conv2d conv(torch::nn::Conv2dOptions(3, 5, 3));
  const void* const memory = conv->weight.data_ptr();
  move_to(*conv, at::kCPU);
  EXPECT_EQ(conv->weight.data_ptr(), memory);
}

}  // namespace
}  // namespace crescendo
