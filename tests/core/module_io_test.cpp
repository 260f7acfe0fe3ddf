#include "core/module_io.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <torch/nn/modules/batchnorm.h>
#include <torch/nn/modules/linear.h>

#include "core/atomic_file.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo {

namespace {

struct Small : torch::nn::Module {
  Small() {
    linear = register_module("linear", torch::nn::Linear(3, 2));
    norm = register_module("norm", torch::nn::BatchNorm1d(2));
  }
  torch::nn::Linear linear{nullptr};
  torch::nn::BatchNorm1d norm{nullptr};
};

TEST(ModuleIoTest, NamesParametersAndBuffers) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : state_of(Small())) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"linear.bias", "linear.weight", "norm.bias",
                                             "norm.num_batches_tracked", "norm.running_mean",
                                             "norm.running_var", "norm.weight"}));
}

TEST(ModuleIoTest, RoundTripsExactly) {
  const TemporaryFolder folder;
  const Small written;
  Small read;
  save_weights(written, folder / "model.safetensors");
  load_weights(read, folder / "model.safetensors");
  const TensorMap expected = state_of(written);
  for (const auto& [name, tensor] : state_of(read)) {
    EXPECT_TRUE(at::equal(tensor, expected.at(name))) << name;
  }
  EXPECT_TRUE(read.linear->weight.requires_grad());
  EXPECT_EQ(SafetensorsFile(folder / "model.safetensors").header().metadata.at("format"), "pt");
}

TEST(ModuleIoTest, ConvertsTheDtype) {
  const TemporaryFolder folder;
  Small module;
  save_weights(module, folder / "model.safetensors", at::kHalf);
  const TensorMap stored = load_tensors(folder / "model.safetensors");
  EXPECT_EQ(stored.at("linear.weight").scalar_type(), at::kHalf);
  EXPECT_EQ(stored.at("norm.num_batches_tracked").scalar_type(), at::kLong);
  load_weights(module, folder / "model.safetensors");
  EXPECT_EQ(module.linear->weight.scalar_type(), at::kFloat);
}

TEST(ModuleIoTest, ListsWhatDoesNotFit) {
  const TemporaryFolder folder;
  Small module;
  TensorMap state = state_of(module);
  state.erase("norm.bias");
  state["linear.weight"] = at::zeros({2, 4});
  state["extra"] = at::zeros({1});
  save_tensors(folder / "model.safetensors", state);
  const at::Tensor before = module.linear->bias.detach().clone();
  EXPECT_EQ(data_error_text([&] { load_weights(module, folder / "model.safetensors"); }),
            (folder / "model.safetensors").string() +
                ": the weights do not fit the configuration beside them\n"
                "  1 missing:\n    norm.bias\n"
                "  1 of another shape:\n    linear.weight: expected [2, 3], found [2, 4]\n"
                "  1 that the model does not have:\n    extra");
  EXPECT_TRUE(at::equal(module.linear->bias, before));
}

TEST(ModuleIoTest, ListsTheFirstTen) {
  const TemporaryFolder folder;
  Small module;
  TensorMap state = state_of(module);
  for (int i = 0; i < 12; ++i) state["extra." + std::to_string(i)] = at::zeros({1});
  save_tensors(folder / "model.safetensors", state);
  const std::string message =
      data_error_text([&] { load_weights(module, folder / "model.safetensors"); });
  EXPECT_NE(message.find("12 that the model does not have"), std::string::npos) << message;
  EXPECT_TRUE(message.ends_with("\n    ... and 2 more")) << message;
}

TEST(WeightsFileTest, FindsBothLayouts) {
  const TemporaryFolder folder;
  EXPECT_EQ(error_text([&] { weights_file_in(folder.path()); }),
            folder.path().string() +
                ": no weights; expected diffusion_pytorch_model.safetensors or model.safetensors");
  write_file_atomically(folder / "model.safetensors", "");
  EXPECT_EQ(weights_file_in(folder.path()), folder / "model.safetensors");
}

TEST(WeightsFileTest, RefusesAPickle) {
  const TemporaryFolder folder;
  write_file_atomically(folder / "pytorch_model.bin", "");
  const std::string message = error_text([&] { weights_file_in(folder.path()); });
  EXPECT_TRUE(message.starts_with((folder / "pytorch_model.bin").string() +
                                  ": refused: a pickle can run code"))
      << message;
}

}  // namespace

}  // namespace crescendo
