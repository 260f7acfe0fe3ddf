#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <vector>

#include "core/fields.h"
#include "pipelines/training/optimization.h"
#include "tests/parity/expect_close.h"

namespace crescendo {

inline pipelines::OptimizationOptions read_training_options(const std::filesystem::path& file) {
  pipelines::OptimizationOptions options;
  const std::vector<Field> fields = {{"learning_rate", &options.learning_rate, ""},
                                     {"adam_beta1", &options.adam_beta1, ""},
                                     {"adam_beta2", &options.adam_beta2, ""},
                                     {"adam_epsilon", &options.adam_epsilon, ""},
                                     {"adam_weight_decay", &options.adam_weight_decay, ""},
                                     {"max_grad_norm", &options.max_grad_norm, ""}};
  const nlohmann::json values = read_json_file(file);
  EXPECT_TRUE(assign_fields(fields, values).empty()) << file;
  EXPECT_EQ(values.size(), fields.size()) << file;
  return options;
}

/// Trains `model` on the batches that reference/_training.py wrote to `folder`, with the trainers'
/// own optimizer, and compares the loss of every step and at last every weight.
/// `loss_of` takes a TensorMap of one batch and returns the scalar that the reference minimised.
template <typename LossOf>
void expect_equal_training(const std::shared_ptr<torch::nn::Module>& model,
                           const std::filesystem::path& folder, LossOf loss_of) {
  const TensorMap recorded = load_tensors(folder / "training.safetensors");
  const std::string batch_prefix = "batch.";
  const std::string weight_prefix = "trained.";
  pipelines::Optimization optimization(model, nullptr,
                                       read_training_options(folder / "training.json"));
  std::vector<at::Tensor> losses;
  for (std::int64_t step = 0; step < recorded.at("losses").size(0); ++step) {
    TensorMap batch;
    for (const auto& [name, stacked] : recorded) {
      if (name.starts_with(batch_prefix)) batch[name.substr(batch_prefix.size())] = stacked[step];
    }
    losses.push_back(loss_of(batch));
    losses.back().backward();
    optimization.step(step);
  }
  expect_close(at::stack(losses), recorded.at("losses"), "losses");

  std::size_t expected = 0;
  for (const auto& [name, tensor] : recorded) expected += name.starts_with(weight_prefix) ? 1 : 0;
  const auto parameters = model->named_parameters();
  EXPECT_EQ(parameters.size(), expected);
  for (const auto& parameter : parameters) {
    const std::string name = weight_prefix + parameter.key();
    expect_close(parameter.value(), recorded.at(name), name);
  }
}

}  // namespace crescendo
