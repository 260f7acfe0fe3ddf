#include "pipelines/study.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "pipelines/cli/commands.h"
#include "pipelines/cli/config_options.h"
#include "pipelines/cli/number_checks.h"
#include "pipelines/cli/signal_handlers.h"

namespace crescendo::cli {

void add_study(CLI::App& app) {
  CLI::App* command = app.add_subcommand(
      "study", "Measure how hard each cluster of noise levels is: a model each, and entropies");
  const auto request = std::make_shared<pipelines::StudyRequest>();
  add_config_options(*command, request->config, request->overrides);
  command->add_option("-o,--out", request->page, "HTML page to write, which needs no other file");
  command->add_option("--json", request->json, "file of JSON lines to write");
  command
      ->add_option("--data-points", request->data_points,
                   "latents of the data that the marginals are mixtures of")
      ->check(positive())
      ->capture_default_str();
  command->add_option("--draws", request->draws, "draws of each relative entropy")
      ->check(positive())
      ->capture_default_str();
  command->add_option("--timesteps", request->timesteps, "timesteps at which it is estimated")
      ->check(positive())
      ->capture_default_str();
  command->footer(
      "Examples:\n"
      "  crescendo study configs/experiments/cifar10-uncond-curriculum.toml \\\n"
      "    --set run.output_dir=runs/study --set train.max_train_steps=2000 -o study.html\n"
      "Called again it goes on where it was.");
  command->callback([request] {
    const SignalHandlers handlers;
    fmt::print("{}", pipelines::study(*request));
  });
}

}  // namespace crescendo::cli
