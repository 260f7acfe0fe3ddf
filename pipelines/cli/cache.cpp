#include "pipelines/cache.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "pipelines/cli/commands.h"
#include "pipelines/cli/config_options.h"
#include "pipelines/cli/number_checks.h"
#include "pipelines/distributed/ranks.h"

namespace crescendo::cli {

namespace {

void print(const pipelines::CacheRequest& request, const pipelines::CacheResult& result) {
  if (request.verify) {
    fmt::print("{} is up to date\n", request.output.string());
    return;
  }
  fmt::print("cached {} samples in {} shards\n", result.samples, result.shards.size());
  for (const auto& shard : result.shards) fmt::print("{}\n", shard.string());
}

}  // namespace

void add_cache(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("cache", "Encode a data set once: latents and text embeddings");
  const auto request = std::make_shared<pipelines::CacheRequest>();
  add_config_options(*command, request->config, request->overrides);
  command->add_option("-o,--out", request->output, "an empty folder, for the shards")->required();
  command->add_option("--dtype", request->dtype, "of what is stored; float16 takes half the space")
      ->check(CLI::IsMember({"float32", "bfloat16", "float16"}))
      ->capture_default_str();
  command->add_option("--max-samples", request->max_samples, "samples a shard")
      ->check(positive())
      ->capture_default_str();
  command->add_flag("--verify", request->verify,
                    "encode nothing: read the pictures' shards again and tell whether the cache in "
                    "--out is still of them, byte for byte");
  command->footer(
      "Examples:\n"
      "  crescendo cache my.toml --out latents/\n"
      "  mpirun -n 4 crescendo cache my.toml --out latents/\n"
      "  crescendo train my.toml --set 'data.shards=[\"latents/*.tar\"]'\n"
      "The run is refused where models, crop or pictures are no longer those of the cache.");
  command->callback([request] {
    pipelines::run_on_ranks([&](pipelines::Communicator& ranks) {
      const pipelines::CacheResult result = pipelines::cache(*request, ranks);
      if (ranks.leads()) print(*request, result);
    });
  });
}

}  // namespace crescendo::cli
