#include "pipelines/generate.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <functional>
#include <system_error>
#include <utility>

#include <unistd.h>

#include "core/device.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/tensor_io.h"
#include "pipelines/generation/image_generator.h"
#include "pipelines/generation/picture.h"
#include "pipelines/models/apply_lora.h"

namespace crescendo::pipelines {

namespace {

void check_conditions(const GenerateRequest& request, ConditioningKind kind) {
  const std::string where = request.model.string();
  if (kind == ConditioningKind::kText && (request.prompts.empty() || !request.labels.empty())) {
    throw UserError("{}: a text model; expected prompts (-p) and no labels", where);
  }
  if (kind == ConditioningKind::kClass && (request.labels.empty() || !request.prompts.empty())) {
    throw UserError("{}: a class model; expected labels (--label) and no prompts", where);
  }
  if (kind == ConditioningKind::kNone && !(request.prompts.empty() && request.labels.empty())) {
    throw UserError("{}: an unconditional model; expected neither prompts nor labels", where);
  }
  if (!request.negative_prompt.empty() && kind != ConditioningKind::kText) {
    throw UserError("{}: expected no negative prompt, because this is no text model", where);
  }
}

/// Gives each request its row of the tensor `latents`, [N,C,h,w], of the file.
void take_latents(const std::filesystem::path& file, std::vector<ImageRequest>& requests) {
  const TensorMap tensors = load_tensors(file);
  const auto found = tensors.find("latents");
  const auto count = static_cast<std::int64_t>(requests.size());
  if (found == tensors.end() || found->second.dim() != 4 || found->second.size(0) != count) {
    throw UserError(
        "{}: expected a tensor 'latents' [N,C,h,w] with N = {}, one for each picture, "
        "found {}",
        file.string(), count,
        found == tensors.end() ? std::string("none")
                               : fmt::format("[{}]", fmt::join(found->second.sizes(), ", ")));
  }
  for (std::int64_t i = 0; i < count; ++i) {
    requests[static_cast<std::size_t>(i)].latents = found->second[i];
  }
}

/// Prompt by prompt, each with its seeds.
std::vector<ImageRequest> requests_of(const GenerateRequest& request, const DiffusionModel& model) {
  std::vector<ImageRequest> subjects;
  for (const std::string& prompt : request.prompts) {
    subjects.push_back({.prompt = prompt, .negative_prompt = request.negative_prompt});
  }
  for (const std::string& label : request.labels) {
    subjects.push_back({.label = model.class_number(label, "--label")});
  }
  if (subjects.empty()) subjects.emplace_back();
  std::vector<ImageRequest> requests;
  for (const ImageRequest& subject : subjects) {
    for (std::int64_t i = 0; i < request.batch_count; ++i) {
      requests.push_back(subject);
      requests.back().seed = request.seed + static_cast<std::uint64_t>(i);
    }
  }
  if (!request.latents.empty()) take_latents(request.latents, requests);
  return requests;
}

void warn_of_truncation(const std::vector<std::string>& prompts,
                        const text_encoder::TextEncoder& encoder) {
  for (const std::size_t i :
       encoder.tokenizer().tokenize(prompts, encoder.max_length()).truncated) {
    log::warn("prompt {} is longer than {} tokens; its end is cut: {}", i + 1, encoder.max_length(),
              prompts[i]);
  }
}

GenerationOptions options_of(const GenerateRequest& request, const DiffusionModel& model) {
  GenerationOptions options{.sampler = model.sampler, .cfg_scale = request.cfg_scale};
  if (request.steps) options.sampler.steps = *request.steps;
  if (request.sampler) options.sampler.sampler = *request.sampler;
  if (!options.sampler.uses_sigmas()) options.sampler.scheduler = "discrete";  // of another sampler
  if (request.scheduler) options.sampler.scheduler = *request.scheduler;
  if (request.eta) options.sampler.eta = *request.eta;
  const std::int64_t side =
      model.unet->options().sample_size.value_or(64) * model.vae->downscale_factor();
  options.width = request.width.value_or(side);
  options.height = request.height.value_or(side);
  return options;
}

/// The text that Stable Diffusion's tools write into a PNG.
std::string parameters_text(const ImageRequest& image, const GenerationOptions& options,
                            const GenerateRequest& request) {
  std::string text = image.label >= 0 ? fmt::format("class {}", image.label) : image.prompt;
  if (!image.negative_prompt.empty()) text += "\nNegative prompt: " + image.negative_prompt;
  const std::string scheduler = options.sampler.scheduler == "discrete"
                                    ? ""
                                    : "Schedule type: " + options.sampler.scheduler + ", ";
  text += fmt::format("\nSteps: {}, Sampler: {}, {}CFG scale: {}, Seed: {}, Size: {}x{}, Model: {}",
                      options.sampler.steps, options.sampler.sampler, scheduler, options.cfg_scale,
                      image.seed, options.width, options.height, request.model.string());
  for (const LoraChoice& lora : request.loras) {
    text += fmt::format(", Lora: {}:{}", lora.path.string(), lora.weight);
  }
  return text;
}

/// Told each picture as soon as it is drawn, in the order of the requests.
using TakePicture = std::function<void(const ImageRequest& request, dataloader::Image picture)>;

void draw(ImageGenerator& generator, const std::vector<ImageRequest>& requests,
          std::size_t batch_size, std::int64_t steps, const TakePicture& take) {
  const std::size_t batches = (requests.size() + batch_size - 1) / batch_size;
  const auto steps_each = static_cast<std::uint64_t>(steps);
  Progress progress("generate", batches * steps_each, "steps");
  for (std::size_t batch = 0; batch < batches; ++batch) {
    const std::size_t first = batch * batch_size;
    const std::size_t count = std::min(batch_size, requests.size() - first);
    const std::string note =
        fmt::format("pictures {} to {} of {}", first + 1, first + count, requests.size());
    const at::Tensor images = generator.generate(
        {requests.data() + first, count}, [&](std::int64_t done, std::int64_t /*of*/) {
          progress.update(batch * steps_each + static_cast<std::uint64_t>(done), note);
        });
    std::vector<dataloader::Image> pictures = tensor_to_pictures(images);
    for (std::size_t i = 0; i < count; ++i) take(requests[first + i], std::move(pictures[i]));
  }
}

/// What would otherwise fail after everything is drawn.
void prepare_folder_of(const std::filesystem::path& output) {
  const bool is_file = output.extension() == ".png";
  const std::filesystem::path folder = is_file ? output.parent_path() : output;
  if (folder.empty()) return;
  std::error_code error;
  std::filesystem::create_directories(folder, error);
  if (error) throw UserError("{}: cannot create the folder: {}", folder.string(), error.message());
  if (::access(folder.c_str(), W_OK) != 0) {
    throw UserError("{}: cannot write into the folder: {}", folder.string(), std::strerror(errno));
  }
}

}  // namespace

std::vector<std::filesystem::path> generate(const GenerateRequest& request) {
  const at::Device device = select_device(request.device);
  DiffusionModel model =
      load_model(request.model, {device, dtype_named(request.dtype), /*mapped=*/true});
  check_conditions(request, conditioning_kind(model.unet->options()));
  for (const LoraChoice& lora : request.loras) apply_lora(model, lora.path, lora.weight);
  model.to(device);
  model.unet->eval();
  model.vae->eval();
  if (request.vae_tiling) model.vae->enable_tiling();
  if (request.vae_slicing) model.vae->enable_slicing();
  const std::vector<ImageRequest> requests = requests_of(request, model);
  const GenerationOptions options = options_of(request, model);
  ImageGenerator generator(model, device, options);
  prepare_folder_of(request.output);
  if (model.text_encoder) warn_of_truncation(request.prompts, *model.text_encoder);
  const auto batch_size = static_cast<std::size_t>(request.batch_size);
  const std::int64_t steps = options.sampler.steps;
  std::vector<std::filesystem::path> files;
  if (request.output.extension() != ".png") {
    draw(generator, requests, batch_size, steps,
         [&](const ImageRequest& image, const dataloader::Image& picture) {
           files.push_back(request.output / fmt::format("{:05}.png", files.size()));
           write_png(files.back(), picture,
                     {{"parameters", parameters_text(image, options, request)}});
         });
    return files;
  }
  std::vector<dataloader::Image> pictures;
  std::string text;
  draw(generator, requests, batch_size, steps,
       [&](const ImageRequest& image, dataloader::Image picture) {
         if (!text.empty()) text += "\n\n";
         text += parameters_text(image, options, request);
         pictures.push_back(std::move(picture));
       });
  write_png(request.output, picture_grid(pictures, request.columns), {{"parameters", text}});
  return {request.output};
}

}  // namespace crescendo::pipelines
