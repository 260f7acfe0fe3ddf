#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include <ATen/core/Tensor.h>
#include <c10/core/Stream.h>

#include "pipelines/distributed/communicator.h"
#include "pipelines/distributed/nccl.h"

namespace crescendo::pipelines {

/// Sums gradients over the ranks while the backward pass goes on. They travel in flat buckets, the
/// last parameters first, as a backward pass comes to them; a bucket departs when it is full and
/// all before it have, so that ranks agree on the order and no timing changes a bit. Gradients on a
/// GPU are summed there by NCCL, on a stream beside the backward pass, or else in host memory. With
/// one rank it does nothing.
class GradientBuckets {
 public:
  /// `number`: how they travel, kFloat32 or kBfloat16. A bucket has at least one gradient, and no
  /// second one past `bucket_bytes`.
  GradientBuckets(const std::vector<at::Tensor>& parameters, Communicator& ranks, Number number,
                  std::size_t bucket_bytes = std::size_t{25} << 20);
  ~GradientBuckets();
  GradientBuckets(const GradientBuckets&) = delete;
  GradientBuckets& operator=(const GradientBuckets&) = delete;

  /// The backward pass that follows is the last one before finish(): what it has added to a
  /// gradient may depart.
  void start();

  /// Replaces every gradient by its sum over the ranks, of which each calls this once a step; one
  /// that there is not counts as zero.
  void finish();

 private:
  struct Bucket {
    std::vector<at::Tensor> parameters;
    std::size_t missing = 0;             ///< gradients that this backward pass has not added to
    at::Tensor flat;                     ///< of the travelling type, where it is summed
    std::unique_ptr<Transfer> transfer;  ///< in host memory
  };
  void take(std::size_t bucket);
  void depart();
  void start_sum(Bucket& bucket);
  void join_nccl(at::Device device);

  Communicator& ranks_;
  Number number_;
  std::unique_ptr<Nccl> nccl_;
  std::optional<c10::Stream> stream_;  ///< of its sums
  std::vector<Bucket> buckets_;
  std::size_t departed_ = 0;
  bool last_pass_ = false;
};

}  // namespace crescendo::pipelines
