#include "pipelines/train.h"

#include <memory>
#include <optional>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "pipelines/cli/commands.h"
#include "pipelines/cli/config_options.h"
#include "pipelines/cli/signal_handlers.h"
#include "pipelines/distributed/ranks.h"

namespace crescendo::cli {

void add_train(CLI::App& app) {
  CLI::App* command = app.add_subcommand("train", "Train a latent U-Net with the curriculum");
  const auto request = std::make_shared<pipelines::TrainRequest>();
  add_config_options(*command, request->config, request->overrides);
  add_resume_options(*command, request->resume);
  command->add_flag(
      "-n,--dry-run", request->dry_run,
      "open everything, take two steps, tell memory, speed, epochs and time to finish; write "
      "nothing");
  command->footer(
      "Examples:\n"
      "  crescendo train configs/demo-text.toml\n"
      "  crescendo train my.toml --set train.learning_rate=5e-5 --set run.output_dir=runs/b\n"
      "  crescendo train my.toml    once more: goes on from the newest checkpoint\n"
      "  mpirun -n 4 crescendo train my.toml\n"
      "Ctrl-C or SIGTERM finishes the step, saves and ends; SIGUSR1 saves and goes on.\n"
      "`crescendo config` prints every key with its default and meaning.");
  command->callback([request] {
    std::optional<SignalHandlers> handlers;
    if (!request->dry_run) handlers.emplace();  // which has nothing to save
    std::filesystem::path model;
    pipelines::run_on_ranks(
        [&](pipelines::Communicator& ranks) { model = pipelines::train(*request, ranks); });
    if (!model.empty()) fmt::print("{}\n", model.string());
  });
}

}  // namespace crescendo::cli
