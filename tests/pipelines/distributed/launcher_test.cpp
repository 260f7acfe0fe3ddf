#include "pipelines/distributed/launcher.h"

#include <map>
#include <string>

#include <gtest/gtest.h>

namespace crescendo::pipelines {
namespace {

using Environment = std::map<std::string, std::string>;

std::optional<Launcher> find_in(const Environment& environment) {
  return find_launcher([&](const char* name) {
    const auto found = environment.find(name);
    return found == environment.end() ? nullptr : found->second.c_str();
  });
}

TEST(LauncherTest, KnowsThoseThatStartRanks) {
  for (const auto& [variable, name] : Environment{{"OMPI_COMM_WORLD_SIZE", "Open MPI"},
                                                  {"PMI_SIZE", "PMI"},
                                                  {"SLURM_STEP_NUM_TASKS", "Slurm"}}) {
    const auto launcher = find_in({{variable, "12"}});
    ASSERT_TRUE(launcher) << variable;
    EXPECT_EQ(launcher->name, name);
    EXPECT_EQ(launcher->size, 12);
  }
}

TEST(LauncherTest, LeavesOneProcessAlone) {
  EXPECT_FALSE(find_in({}));
  EXPECT_FALSE(find_in({{"OMPI_COMM_WORLD_SIZE", "1"}}));
  EXPECT_FALSE(find_in({{"OMPI_COMM_WORLD_SIZE", "four"}}));
  // A batch script that runs the program itself: srun sets SLURM_STEP_NUM_TASKS.
  EXPECT_FALSE(find_in({{"SLURM_NTASKS", "4"}, {"SLURM_PROCID", "0"}}));
}

}  // namespace
}  // namespace crescendo::pipelines
