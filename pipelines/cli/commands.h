#pragma once

namespace CLI {
class App;
}

namespace crescendo::cli {

// Each adds its subcommand: flags to a request, the job, and on standard output what it made.
void add_pack(CLI::App& app);
void add_index(CLI::App& app);
void add_inspect(CLI::App& app);
void add_cache(CLI::App& app);
void add_train_vae(CLI::App& app);
void add_train(CLI::App& app);
void add_generate(CLI::App& app);
void add_serve(CLI::App& app);
void add_evaluate(CLI::App& app);
void add_compare(CLI::App& app);
void add_ema(CLI::App& app);
void add_study(CLI::App& app);
void add_convert(CLI::App& app);
void add_config(CLI::App& app);

}  // namespace crescendo::cli
