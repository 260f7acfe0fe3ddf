#include "pipelines/convert.h"

#include <memory>
#include <string>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "pipelines/cli/commands.h"
#include "pipelines/cli/templates_folder.h"

namespace crescendo::cli {

void add_convert(CLI::App& app) {
  CLI::App* command = app.add_subcommand("convert",
                                         "Turn a Stable Diffusion 1.x or 2.x single file into a "
                                         "folder, or back; or a pickle into .safetensors");
  const auto request = std::make_shared<pipelines::ConvertRequest>();
  command
      ->add_option(
          "IN", request->input,
          "single .safetensors file in the latent-diffusion layout, or a diffusers folder "
          "or a run; or weights that torch.save wrote (.pth, .ckpt, ...), of which no code "
          "is run")
      ->required();
  command
      ->add_option("OUT", request->output,
                   "what to write: the folder, or the file if it ends in .safetensors; must not "
                   "exist")
      ->required();
  command->add_option(
      "--config", request->config,
      "diffusers folder with the configurations, scheduler and tokenizer of a single "
      "file; its weights are not read [by the width of the U-Net's context]");
  const std::vector<std::string> precisions{"float", "fp16", "bf16"};
  command
      ->add_option("--save-precision", request->save_precision,
                   "convert to float, fp16 or bf16 [as it is]; the autoencoder becomes float, as "
                   "its activations may not fit into fp16")
      ->check(CLI::IsMember(precisions));
  command->add_option("--vae-precision", request->vae_precision, "of the autoencoder")
      ->check(CLI::IsMember(precisions));
  command->add_option("--variant", request->variant,
                      "name a folder's weights as diffusers does: fp16 for model.fp16.safetensors");
  command->footer(
      "A single file holds weights alone. Without --config a U-Net that attends to vectors of 768 "
      "is\n"
      "taken for Stable Diffusion 1.5, one of 1024 for 2.1 (v_prediction).\n"
      "Examples:\n"
      "  crescendo convert v1-5-pruned.safetensors models/sd15\n"
      "  crescendo convert 512-base-ema.safetensors models/base --config "
      "configs/stable-diffusion-2-1-base\n"
      "  crescendo convert pt_inception-2015-12-05-6726825d.pth inception.safetensors\n"
      "  crescendo convert runs/mine mine.safetensors --save-precision fp16\n"
      "  crescendo convert models/sd15 models/sd15-fp16 --save-precision fp16 --variant fp16");
  command->callback([request] {
    request->templates = templates_folder();
    pipelines::convert(*request);
    fmt::print("{}\n", request->output.string());
  });
}

}  // namespace crescendo::cli
