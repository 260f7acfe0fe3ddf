#include "pipelines/training/optimization.h"

#include <algorithm>
#include <cmath>

#include <ATen/Functions.h>
#include <c10/core/GradMode.h>

#include "core/error.h"
#include "core/module_io.h"
#include "pipelines/training/posthoc_ema.h"

namespace crescendo::pipelines {

namespace {

std::vector<at::Tensor> gradients_of(const std::vector<at::Tensor>& parameters) {
  std::vector<at::Tensor> gradients;
  for (const at::Tensor& parameter : parameters) gradients.push_back(parameter.grad());
  return gradients;
}

/// In float64, whose squares do not overflow.
double norm_of(const at::Tensor& tensor) {
  return at::linalg_vector_norm(tensor.detach(), 2, std::nullopt, false, at::kDouble)
      .item<double>();
}

/// Copies the tensors of a file over `state`, which it must have.
void fill(const TensorMap& state, const std::filesystem::path& file) {
  const WeightFiles stored(file);
  for (const auto& [name, tensor] : state) {
    const auto found = stored.tensors().find(name);
    if (found == stored.tensors().end() || tensor.sizes() != found->second.entry->shape) {
      throw DataError(
          "{}: tensor '{}' is missing or of another shape; expected the optimizer of this model",
          file.string(), name);
    }
    tensor.copy_(mapped_tensor(found->second));
    found->second.release();
  }
}

TensorMap with_prefixes(const std::map<double, TensorMap>& averages) {
  TensorMap state;
  for (const auto& [sigma_rel, tensors] : averages) {
    for (const auto& [name, tensor] : tensors) {
      state.emplace(fmt::format("{}.{}", sigma_rel, name), tensor);
    }
  }
  return state;
}

/// Replaces a tensor by that of rank 0.
void broadcast(const at::Tensor& tensor, Communicator& ranks) {
  at::Tensor host = tensor.detach().to(at::kCPU).contiguous();
  ranks.broadcast({static_cast<std::byte*>(host.mutable_data_ptr()), host.nbytes()}, 0);
  if (!ranks.leads()) tensor.copy_(host);
}

constexpr const char* kWeights = "weights.safetensors";
constexpr const char* kAverage = "ema.safetensors";
constexpr const char* kOptimizer = "optimizer.safetensors";
constexpr const char* kPosthoc = "posthoc_ema.safetensors";

}  // namespace

void copy_weights(const torch::nn::Module& source, torch::nn::Module& target) {
  const c10::NoGradGuard no_grad;
  const TensorMap from = state_of(source);
  for (auto& [name, tensor] : state_of(target)) tensor.copy_(from.at(name));
}

Optimization::Optimization(std::shared_ptr<torch::nn::Module> model,
                           std::shared_ptr<torch::nn::Module> average, OptimizationOptions options)
    : options_(std::move(options)),
      model_(std::move(model)),
      average_(std::move(average)),
      groups_(make_groups()) {
  const c10::NoGradGuard no_grad;
  TensorMap averages;
  if (average_) {
    copy_weights(*model_, *average_);
    averages = state_of(*average_);
    for (at::Tensor& parameter : average_->parameters()) parameter.set_requires_grad(false);
  }
  for (const Group& group : groups_) {
    for (std::size_t i = 0; i < group.names.size(); ++i) {
      parameters_.push_back(group.parameters[i]);
      if (average_) averages_.push_back(averages.at(group.names[i]));
      for (const double sigma_rel : options_.posthoc_ema) {
        posthoc_averages_[sigma_rel].push_back(group.parameters[i].detach().clone());
      }
    }
  }
}

std::vector<std::string> Optimization::moment_names() const {
  if (options_.optimizer == "adamw") return {"exp_avg", "exp_avg_sq"};
  if (options_.sgd_momentum > 0) return {"momentum_buffer"};
  return {};
}

std::vector<Optimization::Group> Optimization::make_groups() const {
  const double weight_decay =
      options_.optimizer == "adamw" ? options_.adam_weight_decay : options_.sgd_weight_decay;
  std::vector<Group> groups{{.weight_decay = weight_decay}, {.weight_decay = 0}};
  for (const auto& item : model_->named_parameters()) {
    const at::Tensor& parameter = item.value();
    if (!parameter.requires_grad()) continue;
    // The gains of norms, and biases, are vectors; nothing else is.
    const bool decays = options_.decay_norms_and_biases || parameter.dim() > 1;
    Group& group = groups[decays ? 0 : 1];
    group.names.push_back(item.key());
    group.parameters.push_back(parameter);
  }
  std::erase_if(groups, [](const Group& group) { return group.names.empty(); });
  for (Group& group : groups) {
    group.moments.resize(moment_names().size());
    for (std::vector<at::Tensor>& moments : group.moments) {
      for (const at::Tensor& parameter : group.parameters) {
        moments.push_back(at::zeros_like(parameter));
      }
    }
  }
  return groups;
}

std::vector<at::Tensor> Optimization::parameters() const {
  std::vector<at::Tensor> trained = model_->parameters();
  std::erase_if(trained, [](const at::Tensor& parameter) { return !parameter.requires_grad(); });
  return trained;
}

double Optimization::gradient_norm() const {
  const at::Tensor norms = at::stack(at::_foreach_norm(gradients_of(parameters_)));
  return at::linalg_vector_norm(norms).item<double>();
}

std::vector<std::pair<std::string, double>> Optimization::gradient_norms() const {
  std::vector<std::pair<std::string, double>> norms;
  for (const Group& group : groups_) {
    for (std::size_t i = 0; i < group.names.size(); ++i) {
      norms.emplace_back(group.names[i], norm_of(group.parameters[i].grad()));
    }
  }
  return norms;
}

std::vector<std::pair<std::string, double>> Optimization::weight_norms() const {
  std::vector<std::pair<std::string, double>> norms;
  for (const Group& group : groups_) {
    for (std::size_t i = 0; i < group.names.size(); ++i) {
      norms.emplace_back(group.names[i], norm_of(group.parameters[i]));
    }
  }
  return norms;
}

void Optimization::discard_gradients() {
  for (at::Tensor& parameter : parameters_) parameter.mutable_grad().reset();
}

void Optimization::scale_gradients(double factor) {
  if (factor != 1) at::_foreach_mul_(gradients_of(parameters_), factor);
}

void Optimization::move_weights(Group& group, double learning_rate) const {
  const std::vector<at::Tensor> gradients = gradients_of(group.parameters);
  if (options_.optimizer == "sgd") {
    const std::vector<at::Tensor> buffers =
        group.moments.empty() ? std::vector<at::Tensor>() : group.moments[0];
    at::_fused_sgd_(group.parameters, gradients, buffers, group.weight_decay, options_.sgd_momentum,
                    learning_rate, /*dampening=*/0, options_.sgd_nesterov, /*maximize=*/false,
                    /*is_first_step=*/false);
    return;
  }
  const at::Tensor count = at::full({}, static_cast<double>(updates_ + 1),
                                    group.parameters[0].options().dtype(at::kFloat));
  const std::vector<at::Tensor> counts(group.parameters.size(), count);
  at::_fused_adamw_(group.parameters, gradients, group.moments[0], group.moments[1],
                    /*max_exp_avg_sqs=*/{}, counts, learning_rate, options_.adam_beta1,
                    options_.adam_beta2, group.weight_decay, options_.adam_epsilon,
                    /*amsgrad=*/false, /*maximize=*/false);
}

void Optimization::update_averages() {
  if (average_) at::_foreach_lerp_(averages_, parameters_, 1 - ema_decay_at(options_, updates_));
  for (const auto& [sigma_rel, averages] : posthoc_averages_) {
    const double kept = power_decay_at(power_of(sigma_rel), updates_ + 1);
    at::_foreach_lerp_(averages, parameters_, 1 - kept);
  }
}

double Optimization::step(std::int64_t step, double divisor) {
  const c10::NoGradGuard no_grad;
  const double norm = gradient_norm() / divisor;
  if (!std::isfinite(norm)) return norm;
  // The small number is that of torch.nn.utils.clip_grad_norm_.
  const double clipped =
      options_.max_grad_norm > 0 ? std::min(1.0, options_.max_grad_norm / (norm + 1e-6)) : 1;
  scale_gradients(clipped / divisor);
  for (Group& group : groups_) move_weights(group, learning_rate_at(options_, step));
  discard_gradients();
  update_averages();
  ++updates_;
  return norm;
}

std::map<double, TensorMap> Optimization::posthoc_averages() const {
  std::map<double, TensorMap> named;
  for (const auto& [sigma_rel, averages] : posthoc_averages_) {
    auto average = averages.begin();
    for (const Group& group : groups_) {
      for (const std::string& name : group.names) named[sigma_rel].emplace(name, *average++);
    }
  }
  return named;
}

TensorMap Optimization::optimizer_state() const {
  const std::vector<std::string> kinds = moment_names();
  TensorMap state;
  for (const Group& group : groups_) {
    for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
      for (std::size_t i = 0; i < group.names.size(); ++i) {
        state.emplace(kinds[kind] + "." + group.names[i], group.moments[kind][i]);
      }
    }
  }
  state.emplace("updates", at::full({}, updates_, at::kLong));
  return state;
}

std::map<std::string, TensorMap> Optimization::files() const {
  std::map<std::string, TensorMap> files{{kWeights, state_of(*model_)},
                                         {kOptimizer, optimizer_state()}};
  if (average_) files[kAverage] = state_of(*average_);
  if (!posthoc_averages_.empty()) files[kPosthoc] = with_prefixes(posthoc_averages());
  return files;
}

void Optimization::load(const std::filesystem::path& folder) {
  const c10::NoGradGuard no_grad;
  for (const auto& [name, tensors] : files()) {
    if (!std::filesystem::exists(folder / name)) {
      throw DataError("{}: the file is missing", (folder / name).string());
    }
  }
  load_weights(*model_, folder / kWeights);
  if (average_) load_weights(*average_, folder / kAverage);
  if (!posthoc_averages_.empty()) fill(with_prefixes(posthoc_averages()), folder / kPosthoc);
  const TensorMap state = optimizer_state();
  fill(state, folder / kOptimizer);
  updates_ = state.at("updates").item<std::int64_t>();
}

void Optimization::share(Communicator& ranks) {
  if (ranks.size() == 1) return;
  const c10::NoGradGuard no_grad;
  const std::map<std::string, TensorMap> all = files();
  for (const auto& [name, tensors] : all) {
    for (const auto& [key, tensor] : tensors) broadcast(tensor, ranks);
  }
  updates_ = all.at(kOptimizer).at("updates").item<std::int64_t>();
}

}  // namespace crescendo::pipelines
