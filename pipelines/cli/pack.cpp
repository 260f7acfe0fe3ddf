#include "pipelines/shards/pack.h"

#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/ranges.h>

#include "pipelines/cli/commands.h"
#include "pipelines/cli/number_checks.h"

namespace crescendo::cli {

namespace {

void print_result(const pipelines::PackResult& result) {
  fmt::print("packed {} samples into {} shards\n", result.samples, result.shards.size());
  for (const auto& shard : result.shards) fmt::print("{}\n", shard.string());
  for (const auto& [cause, count] : result.left_out) fmt::print("left out {}: {}\n", count, cause);
  if (result.class_names.empty()) return;
  fmt::print("for a class-conditional config:\n[data]\nclass_names = [\"{}\"]\n",
             fmt::join(result.class_names, "\", \""));
}

void add_options(CLI::App& command, pipelines::PackRequest& request) {
  command
      .add_option("SRC", request.sources,
                  "a folder of images, or tars: paths, brace lists, globs, @LIST, pipe:COMMAND, -")
      ->required();
  command.add_option("-o,--out", request.output, "folder for the shards")->required();
  command
      .add_option("--caption-extension", request.caption_extension,
                  "of the caption files beside images")
      ->capture_default_str();
  command.add_option("--caption-column", request.caption_column,
                     "of metadata files (default: text, or else caption)");
  command.add_option("--max-samples", request.max_samples, "samples a shard")
      ->check(positive())
      ->capture_default_str();
  command.add_option("--max-bytes", request.max_bytes, "bytes a shard, about")
      ->check(positive())
      ->capture_default_str();
  command.add_option("-s,--seed", request.seed, "of the order of the samples")
      ->check(non_negative())
      ->capture_default_str();
  command
      .add_option("--shuffle-buffer", request.shuffle_buffer,
                  "samples (at most 1 GiB) through which compressed or piped tars are shuffled")
      ->check(positive())
      ->capture_default_str();
  command
      .add_option("--resize", request.resize,
                  "scale images whose short side is larger to so many pixels: upright JPEG of "
                  "quality 95, or PNG where there is transparency, without metadata and colour "
                  "profile; smaller images keep their bytes")
      ->check(positive());
  command.add_flag("--verify", request.verify,
                   "decode every image and leave out those that cannot be decoded");
  command.add_flag("--resume", request.resume,
                   "go on with an interrupted pack; the shards become the same, byte for byte");
}

}  // namespace

void add_pack(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("pack", "Pack images, or existing tars anew, into shuffled tar shards");
  const auto request = std::make_shared<pipelines::PackRequest>();
  add_options(*command, *request);
  command->footer(
      "The layout is what SRC holds:\n"
      "  metadata.jsonl or metadata.csv, in the folder or below it, as Hugging Face's imagefolder\n"
      "    has them: file_name, text or caption (-> txt), label (-> cls), the rest (-> json)\n"
      "  otherwise the images (jpg, png, webp) of the folder, captions in files beside them, the\n"
      "    top sub-folders as classes\n"
      "  tars: members as they are, samples shuffled over all tars (if one is compressed or "
      "piped,\n"
      "    through a buffer); a key that comes again gets a number: a, a-2, a-3\n"
      "Beside the shards go their indexes, classes.txt and pack.json.\n"
      "Examples:\n"
      "  crescendo pack photos/ --out shards/\n"
      "  crescendo pack imagenet/train --out shards/ --resize 512 --verify\n"
      "  crescendo pack 'old/{000..099}.tar' --out shards/ --max-samples 5000");
  command->callback([request] { print_result(pipelines::pack(*request)); });
}

}  // namespace crescendo::cli
