#include "pipelines/studies/recorded_run.h"

#include "core/error.h"
#include "pipelines/config/config.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

RecordedRun read_run(const fs::path& path) {
  for (const char* name : {"config.toml", "metrics.jsonl"}) {
    if (!fs::is_regular_file(path / name)) {
      throw UserError("{}: expected the folder of a run of `crescendo train`, found no {} in it",
                      path.string(), name);
    }
  }
  TrainConfig config;
  read_config(path / "config.toml", {}, sections(config));
  RecordedRun run{path, config.run.seed, config_to_json(sections(config)),
                  read_history(path / "metrics.jsonl")};
  run.config["run"].erase("output_dir");
  run.config["run"].erase("seed");
  return run;
}

}  // namespace crescendo::pipelines
