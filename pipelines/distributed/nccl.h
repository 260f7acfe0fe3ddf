#pragma once

#include <cstddef>
#include <memory>

#include "pipelines/distributed/communicator.h"

namespace crescendo::pipelines {

/// Sums over the ranks in GPU memory, by NCCL. Nothing of it is linked: its few functions are
/// declared by us and found at run time, in what LibTorch's CUDA library has loaded or in
/// libnccl.so.2.
class Nccl {
 public:
  /// Joins the ranks, of which each has its own GPU as the current one; null on all where one has
  /// no NCCL. Throws UserError. Collective.
  static std::unique_ptr<Nccl> join(Communicator& ranks);
  virtual ~Nccl() = default;
  Nccl(const Nccl&) = delete;
  Nccl& operator=(const Nccl&) = delete;

  /// Puts the sum of `count` numbers at `data`, in their place, on a CUDA stream: all ranks the
  /// same ones in the same order. Throws UserError.
  virtual void sum(void* data, std::size_t count, Number number, void* stream) = 0;

 protected:
  Nccl() = default;
};

}  // namespace crescendo::pipelines
