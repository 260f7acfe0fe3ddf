#include "pipelines/training/rank_device.h"

#include <algorithm>
#include <array>
#include <cstdlib>
#include <string>
#include <thread>

#include <unistd.h>

#include <ATen/Context.h>
#include <ATen/Parallel.h>

#include "core/device.h"
#include "core/error.h"

namespace crescendo::pipelines {

namespace {

/// Whether the launcher shows each rank of a machine GPUs of its own.
bool sees_own_gpus(Communicator& ranks) {
  const char* shown = std::getenv("CUDA_VISIBLE_DEVICES");
  std::array<char, 256> host{};
  ::gethostname(host.data(), host.size() - 1);
  const std::string here = std::string(host.data()) + " " + (shown == nullptr ? "" : shown);
  return std::ranges::count(ranks.gather(here), here) == 1 && shown != nullptr;
}

void divide_cores(const Communicator& ranks) {
  const auto mine = static_cast<int>(std::thread::hardware_concurrency());  // by our affinity
  const bool bound = mine < ::sysconf(_SC_NPROCESSORS_ONLN);
  if (bound || std::getenv("OMP_NUM_THREADS") != nullptr) return;
  at::set_num_threads(std::max(mine / ranks.local_size(), 1));
}

}  // namespace

c10::Device select_device(std::string_view name, Communicator& ranks) {
  const c10::Device device = crescendo::select_device(name);
  if (ranks.size() == 1) return device;
  const bool has_own = sees_own_gpus(ranks);
  if (device.is_cpu()) {
    divide_cores(ranks);
    return device;
  }
  if (name.starts_with("cuda:")) {
    throw UserError(
        "run.device: expected \"cuda\" for {} ranks, of which each takes its own GPU, "
        "found \"{}\"",
        ranks.size(), name);
  }
  if (has_own) return device;
  const auto gpus = static_cast<int>(at::detail::getCUDAHooks().deviceCount());
  if (ranks.local_size() > gpus) {
    throw UserError(
        "{} ranks on a machine with {} GPUs; expected at most one a GPU, start fewer there "
        "(mpirun --map-by ppr:{}:node, srun --ntasks-per-node={})",
        ranks.local_size(), gpus, gpus, gpus);
  }
  return {c10::kCUDA, static_cast<c10::DeviceIndex>(ranks.local_rank())};
}

}  // namespace crescendo::pipelines
