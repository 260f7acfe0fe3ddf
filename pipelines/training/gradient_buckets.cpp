#include "pipelines/training/gradient_buckets.h"

#include <functional>
#include <ranges>
#include <utility>

#include <ATen/Functions.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/GradMode.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/function_hook.h>
#include <torch/csrc/autograd/variable.h>

#include "core/log.h"

namespace crescendo::pipelines {

namespace {

/// Called when a backward pass has added to the gradient of a parameter.
class AddedHook final : public torch::autograd::PostAccumulateGradHook {
 public:
  explicit AddedHook(std::function<void()> call) : call_(std::move(call)) {}
  void operator()(const torch::autograd::Variable& /*parameter*/) override { call_(); }

 private:
  std::function<void()> call_;
};

c10::Stream current_stream(at::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

/// What `later` is given from now on waits for what `earlier` has been given so far.
void chain(const c10::Stream& earlier, const c10::Stream& later) {
  c10::Event event(earlier.device_type());
  event.record(earlier);
  event.block(later);
}

}  // namespace

GradientBuckets::GradientBuckets(const std::vector<at::Tensor>& parameters, Communicator& ranks,
                                 Number number, std::size_t bucket_bytes)
    : ranks_(ranks), number_(number) {
  if (ranks.size() == 1) return;
  if (parameters[0].is_cuda()) join_nccl(parameters[0].device());
  const at::ScalarType type = number == Number::kBfloat16 ? at::kBFloat16 : at::kFloat;
  const std::size_t capacity = bucket_bytes / c10::elementSize(type);
  std::size_t elements = 0;
  for (const at::Tensor& parameter : parameters | std::views::reverse) {
    const auto count = static_cast<std::size_t>(parameter.numel());
    if (buckets_.empty() || elements + count > capacity) {
      buckets_.emplace_back();
      elements = 0;
    }
    elements += count;
    buckets_.back().parameters.push_back(parameter);
    torch::autograd::impl::set_post_acc_grad_hooks(
        parameter, std::make_unique<AddedHook>([this, i = buckets_.size() - 1] { take(i); }));
  }
  for (Bucket& bucket : buckets_) {
    std::int64_t count = 0;
    for (const at::Tensor& parameter : bucket.parameters) count += parameter.numel();
    bucket.flat =
        at::zeros({count}, at::dtype(type).device(stream_ ? stream_->device() : at::kCPU));
  }
}

void GradientBuckets::join_nccl(at::Device device) {
  const c10::DeviceGuard guard(device);
  nccl_ = Nccl::join(ranks_);
  if (nccl_) {
    stream_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
  } else {
    log::warn("no NCCL on some rank: gradients are summed in host memory, which is slow");
  }
}

GradientBuckets::~GradientBuckets() {
  for (const Bucket& bucket : buckets_) {
    for (const at::Tensor& parameter : bucket.parameters) {
      torch::autograd::impl::set_post_acc_grad_hooks(parameter, nullptr);
    }
  }
}

void GradientBuckets::start() {
  last_pass_ = true;
  for (Bucket& bucket : buckets_) bucket.missing = bucket.parameters.size();
}

void GradientBuckets::take(std::size_t bucket) {
  if (!last_pass_) return;
  --buckets_[bucket].missing;
  while (departed_ < buckets_.size() && buckets_[departed_].missing == 0) depart();
  if (nccl_) return;
  for (std::size_t i = 0; i < departed_; ++i) buckets_[i].transfer->progress();
}

void GradientBuckets::depart() {
  const c10::NoGradGuard no_grad;
  Bucket& bucket = buckets_[departed_++];
  std::int64_t begin = 0;
  for (const at::Tensor& parameter : bucket.parameters) {
    at::Tensor part = bucket.flat.narrow(0, begin, parameter.numel());
    begin += parameter.numel();
    if (parameter.grad().defined()) {
      part.copy_(parameter.grad().reshape(-1));
    } else {
      part.zero_();
    }
  }
  start_sum(bucket);
}

void GradientBuckets::start_sum(Bucket& bucket) {
  void* numbers = bucket.flat.mutable_data_ptr();
  const auto count = static_cast<std::size_t>(bucket.flat.numel());
  if (!nccl_) {
    bucket.transfer = ranks_.start_sum(numbers, count, number_);
    return;
  }
  const c10::DeviceGuard guard(stream_->device());
  chain(current_stream(stream_->device()), *stream_);
  nccl_->sum(numbers, count, number_, stream_->native_handle());
}

void GradientBuckets::finish() {
  const c10::NoGradGuard no_grad;
  while (departed_ < buckets_.size()) depart();
  if (nccl_) chain(*stream_, current_stream(stream_->device()));
  for (Bucket& bucket : buckets_) {
    if (bucket.transfer) bucket.transfer->wait();
    bucket.transfer.reset();
    std::int64_t begin = 0;
    for (at::Tensor& parameter : bucket.parameters) {
      const at::Tensor sum = bucket.flat.narrow(0, begin, parameter.numel()).view_as(parameter);
      begin += parameter.numel();
      if (!parameter.grad().defined()) parameter.mutable_grad() = at::empty_like(parameter);
      parameter.mutable_grad().copy_(sum);
    }
  }
  departed_ = 0;
  last_pass_ = false;
}

}  // namespace crescendo::pipelines
