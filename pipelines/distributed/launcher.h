#pragma once

#include <functional>
#include <optional>
#include <string>

namespace crescendo::pipelines {

/// What started this process as one of several.
struct Launcher {
  std::string name;  ///< "Open MPI", "PMI", "Slurm"
  int size = 1;      ///< of ranks
};

/// By the variables that mpirun (of Open MPI, or of another MPI) and srun set; nothing where none
/// of them started us, nor for a single rank. `variable` is getenv. The Kubernetes MPI Operator
/// uses mpirun.
std::optional<Launcher> find_launcher(const std::function<const char*(const char*)>& variable);

}  // namespace crescendo::pipelines
