#include "pipelines/ema.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "pipelines/cli/commands.h"

namespace crescendo::cli {

void add_ema(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "ema", "Make the model of a longer or shorter average of a run's weights, afterwards");
  const auto request = std::make_shared<pipelines::EmaRequest>();
  command->add_option("RUN", request->run, "folder of a run with train.posthoc_ema")->required();
  command
      ->add_option("--sigma-rel", request->sigma_rel, "width of the average, as a share of the run")
      ->check(CLI::Range(0.01, 0.28))
      ->capture_default_str();
  command->add_option("--step", request->step,
                      "of the snapshot that it ends at (default: the last)");
  command->add_option("-o,--out", request->output, "folder of the model")->required();
  command->footer(
      "Examples:\n"
      "  crescendo train my.toml --set train.posthoc_ema=[0.05,0.1]\n"
      "  crescendo ema runs/mine --sigma-rel 0.15 --out runs/mine/model-0.15\n"
      "Weights late in the run count more, as a power of the step (arXiv 2312.02696).");
  command->callback([request] { fmt::print("{}\n", pipelines::make_ema(*request).string()); });
}

}  // namespace crescendo::cli
