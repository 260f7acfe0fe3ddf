#include "unet/recompute.h"

#include <mutex>
#include <utility>

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <c10/core/GradMode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>
#include <torch/custom_class.h>

#include "core/autocast.h"

namespace crescendo::unet {

namespace {

/// Views of tensors. A gradient is summed over the uses of the view first, and autocast, which
/// keeps casts of leaves, keeps none of these.
std::vector<at::Tensor> views_of(const std::vector<at::Tensor>& tensors) {
  std::vector<at::Tensor> views;
  for (const at::Tensor& tensor : tensors) views.push_back(at::alias(tensor));
  return views;
}

at::Generator default_generator(at::Device device) {
  return at::globalContext().defaultGenerator(device);
}

at::Tensor random_state(at::Device device) {
  at::Generator generator = default_generator(device);
  const std::lock_guard lock(generator.mutex());
  return generator.get_state();
}

void set_random_state(at::Device device, const at::Tensor& state) {
  at::Generator generator = default_generator(device);
  const std::lock_guard lock(generator.mutex());
  generator.set_state(state);
}

/// What a layer was run under.
struct Circumstances : torch::CustomClassHolder {
  Layer layer;
  at::Device device = at::kCPU;
  at::Tensor random;
  AutocastState autocast;
};

/// As it was the first time, but with gradients.
at::Tensor run_again(const Circumstances& then, const std::vector<at::Tensor>& inputs) {
  const c10::AutoGradMode with_gradients(true);
  const AutocastGuard autocast(then.autocast);
  const at::Tensor now = random_state(then.device);
  set_random_state(then.device, then.random);
  at::Tensor output = then.layer(views_of(inputs));
  set_random_state(then.device, now);
  return output;
}

class Recomputation : public torch::autograd::Function<Recomputation> {
 public:
  static at::Tensor forward(torch::autograd::AutogradContext* context,
                            const c10::intrusive_ptr<Circumstances>& circumstances,
                            at::TensorList inputs, const at::Tensor& /*always_differentiable*/) {
    circumstances->random = random_state(circumstances->device);
    circumstances->autocast = autocast_state(circumstances->device.type());
    context->save_for_backward(inputs.vec());
    context->saved_data["circumstances"] = c10::IValue::make_capsule(circumstances);
    // A cast kept from here would have no gradient.
    AutocastState autocast = circumstances->autocast;
    autocast.caches_weights = false;
    const AutocastGuard guard(autocast);
    return circumstances->layer(inputs.vec());
  }

  static torch::autograd::variable_list backward(torch::autograd::AutogradContext* context,
                                                 torch::autograd::variable_list gradients) {
    const auto circumstances = c10::static_intrusive_pointer_cast<Circumstances>(
        context->saved_data["circumstances"].toCapsule());
    std::vector<at::Tensor> inputs;
    for (const at::Tensor& saved : context->get_saved_variables()) {
      inputs.push_back(saved.detach().set_requires_grad(saved.requires_grad()));
    }
    const at::Tensor output = run_again(*circumstances, inputs);
    // The weights' gradients are added to them here.
    if (output.requires_grad()) torch::autograd::backward({output}, {gradients[0]});
    torch::autograd::variable_list results{at::Tensor()};  // of the circumstances
    for (const at::Tensor& input : inputs) results.push_back(input.grad());
    results.emplace_back();
    return results;
  }
};

}  // namespace

at::Tensor run_layer(bool recompute, const Layer& layer, const std::vector<at::Tensor>& inputs) {
  const std::vector<at::Tensor> entries = views_of(inputs);
  if (!recompute || !c10::GradMode::is_enabled()) return layer(entries);
  auto circumstances = c10::make_intrusive<Circumstances>();
  circumstances->layer = layer;
  circumstances->device = inputs[0].device();
  // So that there is a backward pass even where the weights alone have gradients.
  const at::Tensor always_differentiable = at::empty({0}).set_requires_grad(true);
  return Recomputation::apply(circumstances, at::TensorList(entries), always_differentiable);
}

}  // namespace crescendo::unet
