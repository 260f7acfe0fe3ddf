#include "core/device.h"

#include <filesystem>
#include <string>

#include <dlfcn.h>

#include <ATen/Context.h>

#include "core/cpu_tuning.h"
#include "core/error.h"

namespace crescendo {

namespace {

/// Loads libtorch_cuda from the folder that libtorch_cpu was loaded from, which registers the CUDA
/// backend. Returns why it could not, or "".
std::string load_cuda_backend() {
  Dl_info info{};
  // Any symbol of libtorch_cpu tells where it lies.
  if (dladdr(reinterpret_cast<void*>(&at::globalContext), &info) == 0)
    return "LibTorch's folder is unknown";
  const auto library = std::filesystem::path(info.dli_fname).parent_path() / "libtorch_cuda.so";
  if (!std::filesystem::exists(library))
    return library.string() + " is not there: this LibTorch is for CPUs";
  if (dlopen(library.c_str(), RTLD_NOW | RTLD_GLOBAL) == nullptr) return dlerror();
  return "";
}

bool driver_present() {
  return std::filesystem::exists("/proc/driver/nvidia/version") ||
         std::filesystem::exists("/dev/nvidiactl");
}

c10::Device find_device(std::string_view name) {
  if (name == "cpu" || (name == "auto" && !driver_present())) return c10::Device(c10::kCPU);
  int index = 0;
  const bool numbered =
      name.starts_with("cuda:") && name.size() == 6 && name[5] >= '0' && name[5] <= '9';
  if (numbered) index = name[5] - '0';
  if (name != "auto" && name != "cuda" && !numbered) {
    throw UserError("device '{}' is unknown; expected auto, cpu, cuda or cuda:N", name);
  }
  std::string reason = load_cuda_backend();
  const int count = reason.empty() && at::hasCUDA() ? at::detail::getCUDAHooks().deviceCount() : 0;
  if (count > index) return {c10::kCUDA, static_cast<c10::DeviceIndex>(index)};
  if (name == "auto") return c10::Device(c10::kCPU);
  if (reason.empty()) reason = fmt::format("{} GPUs are visible", count);
  throw UserError(
      "device '{}' cannot be used: {}. Run with device cpu, or install a driver and a LibTorch for "
      "CUDA",
      name, reason);
}

}  // namespace

c10::Device select_device(std::string_view name) {
  const c10::Device device = find_device(name);
  if (device.is_cpu()) tune_cpu();
  return device;
}

}  // namespace crescendo
