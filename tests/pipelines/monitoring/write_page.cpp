// write_page RUN STATE STEPS STAGES INTERVAL: the page of a run folder from its metrics.jsonl,
// config.toml and samples/, for tests/e2e/run_page_test.py. STATE: "running", "finished" or
// "stopped".

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

#include "core/atomic_file.h"
#include "pipelines/monitoring/run_page.h"

int main(int, char** arguments) {
  namespace fs = std::filesystem;
  using namespace crescendo::pipelines;
  const fs::path run = arguments[1];
  const std::string state = arguments[2];
  RunPage page(run,
               {.command = "train",
                .config = crescendo::read_file(run / "config.toml"),
                .steps = std::stoll(arguments[3]),
                .stages = std::stoll(arguments[4]),
                .what = "U-Net: 6.5 M parameters on cpu"},
               read_history(run / "metrics.jsonl"), std::chrono::seconds(std::stoi(arguments[5])));
  std::vector<fs::path> pictures;
  for (const auto& entry : fs::directory_iterator(run / "samples"))
    pictures.push_back(entry.path());
  std::ranges::sort(pictures);
  for (const fs::path& file : pictures)
    page.add_picture(std::stoll(file.stem().string().substr(5)), file);
  page.write(state == "running"    ? RunState::kRunning
             : state == "finished" ? RunState::kFinished
                                   : RunState::kStopped);
}
