#include "core/cpu_tuning.h"

#include <array>
#include <string_view>
#include <vector>

#include <unistd.h>

#include "core/cpu_matmul.h"

namespace crescendo {

namespace {

/// libgomp's threads turn in circles for milliseconds before they sleep. Where another process has
/// one of the cores, each then waits for one that is not running, and a step takes twenty times as
/// long. Some hundred microseconds outlast what one thread does between two kernels, where to sleep
/// and be woken would cost a tenth of a step. libgomp reads its environment when it is loaded,
/// before anything here could set it: so the program begins anew, once.
void limit_spinning(int /*argc*/, char** arguments, char** environment) {
  std::vector<char*> variables;
  for (char** variable = environment; *variable != nullptr; ++variable) {
    const std::string_view text = *variable;
    if (text.starts_with("GOMP_SPINCOUNT=") || text.starts_with("OMP_WAIT_POLICY=")) return;
    variables.push_back(*variable);
  }
  char limit[] = "GOMP_SPINCOUNT=4000";
  variables.insert(variables.end(), {limit, nullptr});
  std::array<char, 4096> program{};  // by its path, since the name of the process is taken from it
  if (readlink("/proc/self/exe", program.data(), program.size() - 1) > 0) {
    execve(program.data(), arguments, variables.data());
  }
}

// Before main() and before the libraries begin, which is most of a start's time.
[[gnu::section(".preinit_array"),
  gnu::used]] void (*const before_libraries)(int, char**, char**) = limit_spinning;

}  // namespace

void tune_cpu() { choose_cpu_matmul(); }

}  // namespace crescendo
