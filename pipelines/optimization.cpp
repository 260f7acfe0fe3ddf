#include "pipelines/optimization.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <string_view>
#include <utility>

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include "core/error.h"
#include "core/module_io.h"

namespace crescendo::pipelines {

double learning_rate_at(const OptimizationOptions& options, std::int64_t step) {
  const auto warm_up = options.lr_warmup_steps;
  if (step < warm_up) {
    return options.learning_rate * static_cast<double>(step + 1) / static_cast<double>(warm_up);
  }
  if (options.lr_scheduler == "constant") return options.learning_rate;
  const auto total = std::max<std::int64_t>(options.max_train_steps - warm_up, 1);
  const double progress = static_cast<double>(step - warm_up) / static_cast<double>(total);
  return options.learning_rate * 0.5 * (1 + std::cos(std::numbers::pi * std::min(progress, 1.0)));
}

std::uint64_t samples_per_step(const OptimizationOptions& options) {
  return static_cast<std::uint64_t>(options.train_batch_size * options.gradient_accumulation_steps);
}

double ema_decay_at(const OptimizationOptions& options, std::int64_t step) {
  return std::min(options.ema_decay,
                  static_cast<double>(1 + step) / static_cast<double>(10 + step));
}

void copy_weights(const torch::nn::Module& source, torch::nn::Module& target) {
  const c10::NoGradGuard no_grad;
  const TensorMap from = state_of(source);
  for (auto& [name, tensor] : state_of(target)) tensor.copy_(from.at(name));
}

Optimization::Optimization(std::shared_ptr<torch::nn::Module> model,
                           std::shared_ptr<torch::nn::Module> average, OptimizationOptions options)
    : options_(std::move(options)), model_(std::move(model)), average_(std::move(average)) {
  for (const auto& parameter : model_->named_parameters()) {
    names_.push_back(parameter.key());
    parameters_.push_back(parameter.value());
    exp_avgs_.push_back(at::zeros_like(parameter.value()));
    exp_avg_sqs_.push_back(at::zeros_like(parameter.value()));
  }
  if (!average_) return;
  copy_weights(*model_, *average_);
  averages_ = average_->parameters();
  for (at::Tensor& parameter : averages_) parameter.set_requires_grad(false);
}

double Optimization::clip() {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : parameters_) gradients.push_back(parameter.grad());
  const auto norm = at::linalg_vector_norm(at::stack(at::_foreach_norm(gradients))).item<double>();
  if (options_.max_grad_norm > 0 && std::isfinite(norm) && norm > options_.max_grad_norm) {
    at::_foreach_mul_(gradients, options_.max_grad_norm / norm);
  }
  return norm;
}

double Optimization::step(std::int64_t step) {
  const c10::NoGradGuard no_grad;
  const double norm = clip();
  if (!std::isfinite(norm)) return norm;
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : parameters_) gradients.push_back(parameter.grad());
  const at::Tensor count =
      at::full({}, static_cast<double>(step + 1), parameters_.front().options().dtype(at::kFloat));
  const std::vector<at::Tensor> counts(parameters_.size(), count);
  at::_fused_adamw_(parameters_, gradients, exp_avgs_, exp_avg_sqs_, /*max_exp_avg_sqs=*/{}, counts,
                    learning_rate_at(options_, step), options_.adam_beta1, options_.adam_beta2,
                    options_.adam_weight_decay, options_.adam_epsilon, /*amsgrad=*/false,
                    /*maximize=*/false);
  for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
  if (average_) at::_foreach_lerp_(averages_, parameters_, 1 - ema_decay_at(options_, step));
  return norm;
}

std::map<std::string, TensorMap> Optimization::files() const {
  std::map<std::string, TensorMap> files;
  files["weights.safetensors"] = state_of(*model_);
  if (average_) files["ema.safetensors"] = state_of(*average_);
  TensorMap& moments = files["optimizer.safetensors"];
  for (std::size_t i = 0; i < names_.size(); ++i) {
    moments.emplace("exp_avg." + names_[i], exp_avgs_[i]);
    moments.emplace("exp_avg_sq." + names_[i], exp_avg_sqs_[i]);
  }
  return files;
}

void Optimization::load(const std::filesystem::path& folder) {
  const c10::NoGradGuard no_grad;
  for (const char* name : {"weights.safetensors", "ema.safetensors", "optimizer.safetensors"}) {
    const bool needed = average_ != nullptr || std::string_view(name) != "ema.safetensors";
    if (needed && !std::filesystem::exists(folder / name)) {
      throw DataError("{}: the file is missing", (folder / name).string());
    }
  }
  const std::filesystem::path file = folder / "optimizer.safetensors";
  const WeightFiles moments(file);
  const auto fill = [&](at::Tensor& moment, const std::string& name) {
    const auto found = moments.tensors().find(name);
    if (found == moments.tensors().end() || moment.sizes() != found->second.entry->shape) {
      throw DataError(
          "{}: tensor '{}' is missing or of another shape; expected the optimizer of this model",
          file.string(), name);
    }
    moment.copy_(mapped_tensor(found->second));
    found->second.release();
  };
  load_weights(*model_, folder / "weights.safetensors");
  if (average_) load_weights(*average_, folder / "ema.safetensors");
  for (std::size_t i = 0; i < names_.size(); ++i) {
    fill(exp_avgs_[i], "exp_avg." + names_[i]);
    fill(exp_avg_sqs_[i], "exp_avg_sq." + names_[i]);
  }
}

}  // namespace crescendo::pipelines
