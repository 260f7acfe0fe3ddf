#include "core/module_io.h"

#include <fstream>
#include <functional>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <ATen/ATen.h>
#include <c10/core/GradMode.h>
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

TEST(ModuleIoTest, PlacesTheWeightsAsTheirDtype) {
  const TemporaryFolder folder;
  const Small written;
  save_weights(written, folder / "model.safetensors");
  const Placement placement{at::kCPU, at::kBFloat16};
  const WeightFiles files(folder / "model.safetensors");
  Small read;
  load_weights(read, files, placement);
  EXPECT_TRUE(at::equal(read.linear->weight, written.linear->weight.to(at::kBFloat16)));
  EXPECT_TRUE(read.linear->weight.requires_grad());
  EXPECT_EQ(read.norm->running_var.scalar_type(), at::kBFloat16);
  EXPECT_EQ(read.norm->num_batches_tracked.scalar_type(), at::kLong);
}

TEST(ModuleIoTest, MapsTheFileItself) {
  const TemporaryFolder folder;
  const Small written;
  save_weights(written, folder / "model.safetensors");
  Small read;
  {
    const WeightFiles files(folder / "model.safetensors");
    load_weights(read, files, {.mapped = true});
    const void* bytes = files.tensors().at("linear.weight").bytes().data();
    EXPECT_EQ(read.linear->weight.const_data_ptr(), bytes);
  }
  EXPECT_TRUE(at::equal(read.linear->weight, written.linear->weight)) << "no longer mapped";
  const c10::NoGradGuard no_grad;
  read.linear->weight.zero_();
  EXPECT_TRUE(at::equal(load_tensors(folder / "model.safetensors").at("linear.weight"),
                        written.linear->weight))
      << "the file was written to";
}

TEST(ModuleIoTest, TranslatesOldNames) {
  const TemporaryFolder folder;
  const Small written;
  TensorMap state = state_of(written);
  state["affine.weight"] = state.extract("linear.weight").mapped();
  save_tensors(folder / "model.safetensors", state);
  const WeightFiles files(folder / "model.safetensors");
  Small read;
  EXPECT_NE(data_error_text([&] { load_weights(read, files, {}); }), "");
  load_weights(read, files, {}, [](const std::string& stored) {
    return stored == "affine.weight" ? std::string("linear.weight") : stored;
  });
  EXPECT_TRUE(at::equal(read.linear->weight, written.linear->weight));
}

TEST(ModuleIoTest, ReadsShards) {
  const TemporaryFolder folder;
  const Small written;
  TensorMap first = state_of(written);
  TensorMap second;
  second.insert(first.extract("linear.bias"));
  nlohmann::json weight_map;
  for (const auto& [name, tensor] : first) weight_map[name] = "a.safetensors";
  for (const auto& [name, tensor] : second) weight_map[name] = "b.safetensors";
  save_tensors(folder / "a.safetensors", first);
  save_tensors(folder / "b.safetensors", second);
  write_file_atomically(folder / "model.safetensors.index.json",
                        nlohmann::json{{"weight_map", weight_map}}.dump());
  Small read;
  load_weights(read, weights_file_in(folder.path()));
  EXPECT_TRUE(at::equal(read.linear->bias, written.linear->bias));
  EXPECT_TRUE(at::equal(read.linear->weight, written.linear->weight));
}

TEST(SkipInitTest, LeavesLayersUnset) {
  const auto number_after = [](const std::function<void()>& make) {
    at::manual_seed(1);
    make();
    return at::rand({1}).item<float>();
  };
  const auto make = [] { EXPECT_TRUE(torch::nn::Linear(1000, 1000)->weight.requires_grad()); };
  const float drawn_nothing = number_after([] {});
  EXPECT_NE(number_after(make), drawn_nothing);
  EXPECT_EQ(number_after([&] {
              const SkipInit skip_init;
              make();
            }),
            drawn_nothing);
}

struct Tall : torch::nn::Module {
  Tall() {
    for (int i = 0; i < 16; ++i) {
      register_module(std::to_string(i), torch::nn::Linear(1024, 1024));
    }
  }
};
TORCH_MODULE_IMPL(TallModel, Tall);

/// A line of /proc/self/status, in bytes.
std::int64_t memory_status(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.starts_with(key + ":")) return std::stoll(line.substr(key.size() + 1)) * 1024;
  }
  return 0;
}

TEST(ModuleIoTest, LoadingTakesNoSecondCopy) {
  const TemporaryFolder folder;
  save_weights(*TallModel(), folder / "model.safetensors");
  const auto size = std::filesystem::file_size(folder / "model.safetensors");
  std::ofstream("/proc/self/clear_refs") << 5;  // the peak begins anew
  const std::int64_t before = memory_status("VmRSS");
  if (memory_status("VmHWM") > before + 1'000'000) GTEST_SKIP() << "the peak cannot be reset here";
  TallModel model = load_module<TallModel>(WeightFiles(folder / "model.safetensors"), Placement{});
  EXPECT_LE(memory_status("VmHWM") - before, 1.2 * static_cast<double>(size));
}

}  // namespace

}  // namespace crescendo
