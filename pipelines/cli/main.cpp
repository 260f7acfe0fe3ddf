#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>

#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "pipelines/cli/arguments.h"
#include "pipelines/cli/commands.h"

namespace {

constexpr int kOurFault = 1;
constexpr int kUsersFault = 2;

int run(int argc, char** argv) {
  CLI::App app{
      "Trains and runs latent diffusion models: text-to-image, class-conditional or "
      "unconditional,\nwith a curriculum from easy to hard noise levels (arXiv 2403.10348)."};
  app.name("crescendo");
  app.require_subcommand(1);
  app.set_version_flag("--version", CRESCENDO_VERSION);
  bool quiet = false;
  app.add_flag("-q,--quiet", quiet, "warnings and errors only, no progress");
  app.fallthrough();
  app.parse_complete_callback([&] {
    crescendo::log::start(quiet);
    if (quiet) crescendo::Progress::silence();
  });
  app.footer(
      "From a folder of captioned pictures to new ones:\n"
      "  crescendo pack pictures/ --out shards/\n"
      "  crescendo train-vae configs/demo-vae.toml --set data.shards='[\"shards/*.tar\"]'\n"
      "  crescendo train configs/demo-text.toml\n"
      "  crescendo generate -m runs/demo/model -p \"red heart\" -o heart.png\n"
      "Each subcommand has a --help of its own.");

  crescendo::cli::add_pack(app);
  crescendo::cli::add_index(app);
  crescendo::cli::add_inspect(app);
  crescendo::cli::add_cache(app);
  crescendo::cli::add_train_vae(app);
  crescendo::cli::add_train(app);
  crescendo::cli::add_generate(app);
  crescendo::cli::add_serve(app);
  crescendo::cli::add_evaluate(app);
  crescendo::cli::add_compare(app);
  crescendo::cli::add_study(app);
  crescendo::cli::add_ema(app);
  crescendo::cli::add_convert(app);
  crescendo::cli::add_config(app);
  std::vector<std::string> arguments = crescendo::cli::arguments_of(argc, argv);
  crescendo::cli::check_names(app, arguments);
  std::reverse(arguments.begin(), arguments.end());  // as CLI11 takes them
  try {
    app.parse(std::move(arguments));
  } catch (const CLI::ParseError& failure) {
    return app.exit(failure) == 0 ? 0 : kUsersFault;
  }
  return 0;
}

/// The exit code.
int run_and_report(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const crescendo::UserError& failure) {
    crescendo::log::error("error: {}", failure.what());
    return kUsersFault;
  } catch (const std::exception& failure) {
    // LibTorch appends a backtrace to its messages.
    const std::string text = failure.what();
    crescendo::log::error("internal error: {}",
                          text.substr(0, text.find("\nException raised from")));
    return kOurFault;
  }
}

/// LibTorch's static objects, thousands of operators, are left to the system: to take them apart is
/// a seventh of a short command's time.
[[noreturn]] void leave(int exit_code) {
#ifdef __SANITIZE_ADDRESS__  // looks for leaks in an orderly exit
  std::exit(exit_code);
#else
  std::cout.flush();
  std::fflush(nullptr);
  std::_Exit(exit_code);
#endif
}

}  // namespace

int main(int argc, char** argv) {
  crescendo::log::start(false);
  leave(run_and_report(argc, argv));
}
