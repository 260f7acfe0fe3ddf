#include "pipelines/training/optimization.h"

#include <algorithm>
#include <cmath>
#include <optional>

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

/// The tensor of rank `root`, which alone need have more than its shape here, on the CPU.
at::Tensor from_rank(int root, const at::Tensor& tensor, Communicator& ranks) {
  at::Tensor host = root == ranks.rank() ? tensor.detach().to(at::kCPU).contiguous()
                                         : at::empty(tensor.sizes(), tensor.scalar_type());
  ranks.broadcast({static_cast<std::byte*>(host.mutable_data_ptr()), host.nbytes()}, root);
  return host;
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
                           std::shared_ptr<torch::nn::Module> average, OptimizationOptions options,
                           Communicator& ranks)
    : options_(std::move(options)),
      model_(std::move(model)),
      average_(std::move(average)),
      ranks_(ranks),
      groups_(make_groups()),
      share_(make_share()) {
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
  choose_owners(groups);
  return groups;
}

void Optimization::choose_owners(std::vector<Group>& groups) const {
  std::vector<std::pair<std::int64_t, int*>> left;  // numbers of a parameter, and its owner
  for (Group& group : groups) {
    group.owners.assign(group.parameters.size(), ranks_.rank());
    for (std::size_t i = 0; i < group.owners.size(); ++i) {
      left.emplace_back(group.parameters[i].numel(), &group.owners[i]);
    }
  }
  if (!is_shared()) return;
  // The largest that is left to the rank with least.
  std::ranges::stable_sort(left, std::ranges::greater(), [](const auto& one) { return one.first; });
  std::vector<std::int64_t> loads(static_cast<std::size_t>(ranks_.size()), 0);
  for (const auto& [count, owner] : left) {
    const auto least = std::ranges::min_element(loads);
    *owner = static_cast<int>(least - loads.begin());
    *least += count;
  }
}

std::vector<Optimization::Group> Optimization::make_share() const {
  std::vector<Group> share;
  for (const Group& group : groups_) {
    Group mine{.weight_decay = group.weight_decay};
    mine.moments.resize(moment_names().size());
    for (std::size_t i = 0; i < group.names.size(); ++i) {
      if (group.owners[i] != ranks_.rank()) continue;
      mine.names.push_back(group.names[i]);
      mine.parameters.push_back(group.parameters[i]);
      for (std::vector<at::Tensor>& moments : mine.moments) {
        moments.push_back(at::zeros_like(group.parameters[i]));
      }
    }
    if (!mine.names.empty()) share.push_back(std::move(mine));
  }
  return share;
}

std::string Optimization::describe_share() const {
  if (!is_shared()) return "";
  const auto bytes_of = [this](const std::vector<Group>& groups) {
    std::size_t bytes = 0;
    for (const Group& group : groups) {
      for (const at::Tensor& parameter : group.parameters) bytes += parameter.nbytes();
    }
    return static_cast<double>(bytes * moment_names().size()) / 1e6;
  };
  const double all = bytes_of(groups_);
  const double here = bytes_of(share_);
  return fmt::format("{:.1f} of {:.1f} MB on this rank; zero_stage = 1 saves {:.1f} MB", here, all,
                     all - here);
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

void Optimization::move_weights(Group& group, double learning_rate, double divisor) const {
  const std::vector<at::Tensor> gradients = gradients_of(group.parameters);
  const auto scalar = [&](double value) {
    return at::full({}, value, group.parameters[0].options().dtype(at::kFloat));
  };
  std::optional<at::Tensor> grad_scale;  // what they are divided by
  if (divisor != 1) grad_scale = scalar(divisor);
  if (options_.optimizer == "sgd") {
    const std::vector<at::Tensor> buffers =
        group.moments.empty() ? std::vector<at::Tensor>() : group.moments[0];
    at::_fused_sgd_(group.parameters, gradients, buffers, group.weight_decay, options_.sgd_momentum,
                    learning_rate, /*dampening=*/0, options_.sgd_nesterov, /*maximize=*/false,
                    /*is_first_step=*/false, grad_scale);
    return;
  }
  const std::vector<at::Tensor> counts(group.parameters.size(),
                                       scalar(static_cast<double>(updates_ + 1)));
  at::_fused_adamw_(group.parameters, gradients, group.moments[0], group.moments[1],
                    /*max_exp_avg_sqs=*/{}, counts, learning_rate, options_.adam_beta1,
                    options_.adam_beta2, group.weight_decay, options_.adam_epsilon,
                    /*amsgrad=*/false, /*maximize=*/false, grad_scale);
}

void Optimization::share_weights() const {
  for (int root = 0; root < ranks_.size(); ++root) {
    std::vector<at::Tensor> theirs;
    std::vector<at::Tensor> flat;
    for (const Group& group : groups_) {
      for (std::size_t i = 0; i < group.parameters.size(); ++i) {
        if (group.owners[i] != root) continue;
        theirs.push_back(group.parameters[i]);
        flat.push_back(group.parameters[i].flatten());
      }
    }
    if (theirs.empty()) continue;
    const at::Tensor all = from_rank(root, at::cat(flat), ranks_);
    if (root == ranks_.rank()) continue;
    std::int64_t begin = 0;
    for (at::Tensor& parameter : theirs) {
      parameter.copy_(all.narrow(0, begin, parameter.numel()).view_as(parameter));
      begin += parameter.numel();
    }
  }
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
  for (Group& group : share_) {
    move_weights(group, learning_rate_at(options_, step), divisor / clipped);
  }
  if (is_shared()) share_weights();
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

TensorMap Optimization::state_here() const {
  const std::vector<std::string> kinds = moment_names();
  TensorMap state;
  for (const Group& group : share_) {
    for (std::size_t kind = 0; kind < kinds.size(); ++kind) {
      for (std::size_t i = 0; i < group.names.size(); ++i) {
        state.emplace(kinds[kind] + "." + group.names[i], group.moments[kind][i]);
      }
    }
  }
  state.emplace("updates", at::full({}, updates_, at::kLong));
  return state;
}

TensorMap Optimization::moments_of_all() const {
  const TensorMap here = state_here();
  TensorMap all;
  for (const Group& group : groups_) {
    for (std::size_t i = 0; i < group.names.size(); ++i) {
      for (const std::string& kind : moment_names()) {
        const std::string name = kind + "." + group.names[i];
        const auto own = here.find(name);
        const at::Tensor& shape = own == here.end() ? group.parameters[i] : own->second;
        at::Tensor moment = from_rank(group.owners[i], shape, ranks_);
        if (ranks_.leads()) all.emplace(name, std::move(moment));
      }
    }
  }
  return all;
}

std::map<std::string, TensorMap> Optimization::files_here() const {
  std::map<std::string, TensorMap> files{{kWeights, state_of(*model_)}, {kOptimizer, state_here()}};
  if (average_) files[kAverage] = state_of(*average_);
  if (!posthoc_averages_.empty()) files[kPosthoc] = with_prefixes(posthoc_averages());
  return files;
}

std::map<std::string, TensorMap> Optimization::files() const {
  std::map<std::string, TensorMap> files = files_here();
  if (is_shared()) files[kOptimizer].merge(moments_of_all());
  return files;
}

void Optimization::load(const std::filesystem::path& folder) {
  const c10::NoGradGuard no_grad;
  const std::map<std::string, TensorMap> here = files_here();
  for (const auto& [name, tensors] : here) {
    if (!std::filesystem::exists(folder / name)) {
      throw DataError("{}: the file is missing", (folder / name).string());
    }
  }
  load_weights(*model_, folder / kWeights);
  if (average_) load_weights(*average_, folder / kAverage);
  if (!posthoc_averages_.empty()) fill(here.at(kPosthoc), folder / kPosthoc);
  fill(here.at(kOptimizer), folder / kOptimizer);
  updates_ = here.at(kOptimizer).at("updates").item<std::int64_t>();
}

void Optimization::share(const std::filesystem::path& folder) {
  const c10::NoGradGuard no_grad;
  std::map<std::string, TensorMap> here = files_here();
  const TensorMap state = here.extract(kOptimizer).mapped();
  for (const auto& [name, tensors] : here) {
    for (const auto& [key, tensor] : tensors) tensor.copy_(from_rank(0, tensor, ranks_));
  }
  updates_ = from_rank(0, state.at("updates"), ranks_).item<std::int64_t>();
  if (folder.empty()) return;  // moments begin as zeros
  std::optional<WeightFiles> stored;
  if (ranks_.leads()) stored.emplace(folder / kOptimizer);
  for (const Group& group : groups_) {
    for (std::size_t i = 0; i < group.names.size(); ++i) {
      for (const std::string& kind : moment_names()) {
        const std::string name = kind + "." + group.names[i];
        const at::Tensor moment = from_rank(
            0, stored ? mapped_tensor(stored->tensors().at(name)) : group.parameters[i], ranks_);
        if (const auto own = state.find(name); own != state.end()) own->second.copy_(moment);
      }
    }
  }
}

}  // namespace crescendo::pipelines
