#include "pipelines/train_vae.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "pipelines/cli/commands.h"
#include "pipelines/cli/config_options.h"
#include "pipelines/cli/signal_handlers.h"
#include "pipelines/distributed/ranks.h"

namespace crescendo::cli {

void add_train_vae(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("train-vae", "Train an autoencoder, the first stage of a model");
  const auto request = std::make_shared<pipelines::TrainVaeRequest>();
  add_config_options(*command, request->config, request->overrides);
  add_resume_options(*command, request->resume);
  command->footer(
      "Examples:\n"
      "  crescendo train-vae configs/demo-vae.toml\n"
      "  crescendo train-vae my-vae.toml --set loss.kl_weight=1e-5\n"
      "`crescendo config --job train-vae` prints every key with its default and meaning.");
  command->callback([request] {
    const SignalHandlers handlers;
    std::filesystem::path model;
    pipelines::run_on_ranks(
        [&](pipelines::Communicator& ranks) { model = pipelines::train_vae(*request, ranks); });
    if (!model.empty()) fmt::print("{}\n", model.string());
  });
}

}  // namespace crescendo::cli
