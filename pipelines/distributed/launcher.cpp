#include "pipelines/distributed/launcher.h"

#include <array>
#include <charconv>
#include <string_view>

namespace crescendo::pipelines {

std::optional<Launcher> find_launcher(const std::function<const char*(const char*)>& variable) {
  struct Sign {
    const char* name;
    const char* size;
  };
  // Not SLURM_NTASKS, which a batch script has too that runs the program without srun.
  constexpr std::array<Sign, 3> kSigns{{{"Open MPI", "OMPI_COMM_WORLD_SIZE"},
                                        {"PMI", "PMI_SIZE"},
                                        {"Slurm", "SLURM_STEP_NUM_TASKS"}}};
  for (const auto& [name, size_variable] : kSigns) {
    const char* value = variable(size_variable);
    if (value == nullptr) continue;
    const std::string_view text = value;
    int size = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), size);
    if (error != std::errc() || end != text.data() + text.size() || size < 2) return std::nullopt;
    return Launcher{name, size};
  }
  return std::nullopt;
}

}  // namespace crescendo::pipelines
