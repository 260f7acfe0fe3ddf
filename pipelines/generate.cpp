#include "pipelines/generate.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <unistd.h>

#include "core/atomic_file.h"
#include "core/device.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/tensor_io.h"
#include "core/text.h"
#include "pipelines/drawing_model.h"
#include "pipelines/generation/encode_picture.h"
#include "pipelines/generation/image_generator.h"
#include "pipelines/generation/output_names.h"
#include "pipelines/generation/picture.h"
#include "pipelines/generation/picture_origin.h"
#include "pipelines/generation/prompt_truncation.h"

namespace crescendo::pipelines {

namespace {

namespace fs = std::filesystem;
using dataloader::Image;

// --- What can be known before the model is there ---

void check_text(const std::string& text, const char* flag) {
  if (!is_utf8(text)) throw UserError("{}: expected UTF-8, found other bytes: {}", flag, text);
}

void check_sampling(const GenerateRequest& request) {
  if (request.steps && *request.steps < 1) {
    throw UserError("--steps: expected at least 1, found {}", *request.steps);
  }
  const bool ordered = 0 <= request.guidance_start &&
                       request.guidance_start <= request.guidance_end && request.guidance_end <= 1;
  if (!ordered) {
    throw UserError(
        "--guidance-interval: expected shares of the steps, 0 <= LO <= HI <= 1, found {},{}",
        request.guidance_start, request.guidance_end);
  }
  if (request.strength <= 0 || request.strength > 1) {
    throw UserError("--strength: expected more than 0 and at most 1, found {}", request.strength);
  }
  if (!request.mask.empty() && request.init_image.empty()) {
    throw UserError("--mask: expected a picture that it is of (--init-img), found none");
  }
  for (const std::string& prompt : request.prompts) check_text(prompt, "--prompt");
  check_text(request.negative_prompt, "--negative-prompt");
}

/// What would otherwise fail after everything is drawn.
void prepare_folder_of(const fs::path& file) {
  const fs::path folder = file.parent_path();
  if (folder.empty()) return;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error) throw UserError("{}: cannot create the folder: {}", folder.string(), error.message());
  if (::access(folder.c_str(), W_OK) != 0) {
    throw UserError("{}: cannot write into the folder: {}", folder.string(), std::strerror(errno));
  }
}

/// Prompt by prompt, or class by class, each with its seeds.
std::vector<PictureName> picture_names(const GenerateRequest& request) {
  std::vector<std::string> subjects = request.prompts;
  subjects.insert(subjects.end(), request.labels.begin(), request.labels.end());
  if (subjects.empty()) subjects.emplace_back();
  std::vector<PictureName> names;
  for (const std::string& subject : subjects) {
    for (std::int64_t i = 0; i < request.batch_count; ++i) {
      names.push_back({subject, request.seed + static_cast<std::uint64_t>(i)});
    }
  }
  return names;
}

/// What a drawing begins from, cut to its size.
struct InitialImages {
  std::optional<Image> picture;
  std::optional<Image> mask;
};

InitialImages read_initial_images(const GenerateRequest& request) {
  if (request.init_image.empty()) return {};
  InitialImages images{.picture = read_picture(request.init_image), .mask = {}};
  const std::int64_t width = request.width.value_or(images.picture->width);
  const std::int64_t height = request.height.value_or(images.picture->height);
  if (!request.mask.empty()) {
    Image mask = read_picture(request.mask);
    if (mask.width != images.picture->width || mask.height != images.picture->height) {
      throw UserError("{}: expected {}x{} pixels, as {}, found {}x{}", request.mask.string(),
                      images.picture->width, images.picture->height, request.init_image.string(),
                      mask.width, mask.height);
    }
    images.mask = fit_picture(mask, width, height);
  }
  images.picture = fit_picture(*images.picture, width, height);
  return images;
}

// --- From the flags to the generator ---

void check_conditions(const GenerateRequest& request, ConditioningKind kind) {
  const std::string where = request.model.path.string();
  if (kind == ConditioningKind::kText && (request.prompts.empty() || !request.labels.empty())) {
    throw UserError("{}: a text model; expected prompts (-p) and no labels", where);
  }
  if (kind == ConditioningKind::kClass && (request.labels.empty() || !request.prompts.empty())) {
    throw UserError("{}: a class model; expected labels (--label) and no prompts", where);
  }
  // A picture of such a model says that its prompt was empty (replay.h).
  const bool asks = !std::ranges::all_of(request.prompts, &std::string::empty);
  if (kind == ConditioningKind::kNone && (asks || !request.labels.empty())) {
    throw UserError("{}: an unconditional model; expected neither prompts nor labels", where);
  }
  if (!request.negative_prompt.empty() && kind != ConditioningKind::kText) {
    throw UserError("{}: expected no negative prompt, because this is no text model", where);
  }
}

GenerationOptions options_of(const GenerateRequest& request, ImageGenerator& generator,
                             const InitialImages& images) {
  GenerationOptions options = drawing_options(request, generator);
  if (images.picture) {
    options.width = images.picture->width;
    options.height = images.picture->height;
    options.initial =
        generator.encode(*images.picture, images.mask ? &*images.mask : nullptr, request.strength);
  } else {
    options.width = request.width.value_or(options.width);
    options.height = request.height.value_or(options.height);
  }
  generator.check(options);
  return options;
}

PictureOrigin origin_of(const GenerateRequest& request, GenerationOptions options) {
  return {
      .model = request.model,
      .files = {.init_image = request.init_image, .mask = request.mask, .latents = request.latents},
      .options = std::move(options)};
}

/// Gives each request its row of the tensor `latents`, [N,C,h,w], of the file, or all the one row.
void take_latents(const GenerateRequest& request, std::vector<ImageRequest>& requests) {
  const TensorMap tensors = load_tensors(request.latents);
  const auto found = tensors.find("latents");
  const auto count = static_cast<std::int64_t>(requests.size());
  const auto fits = [&](const at::Tensor& latents) {
    if (latents.dim() != 4) return false;
    return request.latents_row ? *request.latents_row < latents.size(0) : latents.size(0) == count;
  };
  if (found == tensors.end() || !fits(found->second)) {
    throw UserError(
        "{}: expected a tensor 'latents' [N,C,h,w] with N = {}, one for each picture, "
        "found {}",
        request.latents.string(), request.latents_row ? *request.latents_row + 1 : count,
        found == tensors.end() ? std::string("none")
                               : fmt::format("[{}]", fmt::join(found->second.sizes(), ", ")));
  }
  for (std::int64_t i = 0; i < count; ++i) {
    requests[static_cast<std::size_t>(i)].latents = found->second[request.latents_row.value_or(i)];
  }
}

std::vector<ImageRequest> requests_of(const GenerateRequest& request,
                                      const std::vector<PictureName>& names,
                                      const DiffusionModel& model) {
  std::vector<ImageRequest> requests;
  for (const PictureName& name : names) {
    ImageRequest& one = requests.emplace_back(ImageRequest{.seed = name.seed});
    if (request.labels.empty()) {
      one.prompt = name.subject;
      one.negative_prompt = request.negative_prompt;
    } else {
      one.label = model.class_number(name.subject, "--label");
    }
  }
  if (!request.latents.empty()) take_latents(request, requests);
  return requests;
}

void warn_of_truncation(const GenerateRequest& request, const text_encoder::TextEncoder& encoder) {
  const auto warn = [&](const std::string& which, const std::string& prompt) {
    const std::string dropped = truncated_end(encoder, prompt);
    if (dropped.empty()) return;
    log::warn("{} is longer than {} tokens; its end is cut: {}", which, encoder.max_length(),
              dropped);
  };
  for (std::size_t i = 0; i < request.prompts.size(); ++i) {
    warn(fmt::format("prompt {}", i + 1), request.prompts[i]);
  }
  warn("the negative prompt", request.negative_prompt);
}

// --- Drawing ---

void write_picture(const fs::path& file, const Image& picture, const PictureTexts& texts,
                   int quality) {
  const std::vector<std::byte> bytes =
      encode_picture(picture, picture_format(file), texts, quality);
  write_file_atomically(file, {reinterpret_cast<const char*>(bytes.data()), bytes.size()});
}

/// Draws the pictures of one call and writes them.
class Drawing {
 public:
  Drawing(const GenerateRequest& request, ImageGenerator& generator, GenerationOptions options,
          OutputNames outputs)
      : request_(request),
        generator_(generator),
        origin_(origin_of(request, std::move(options))),
        outputs_(std::move(outputs)),
        keeps_all_(outputs_.is_grid || !request.grid.empty()) {}

  std::vector<fs::path> draw(const std::vector<ImageRequest>& requests,
                             const std::vector<PictureName>& names) {
    const auto batch_size = static_cast<std::size_t>(request_.batch_size);
    const std::size_t batches = (requests.size() + batch_size - 1) / batch_size;
    const std::uint64_t steps_each = steps_of(origin_.options);
    Progress progress("generate", batches * steps_each, "steps");
    for (std::size_t batch = 0; batch < batches; ++batch) {
      const std::size_t first = batch * batch_size;
      const std::size_t count = std::min(batch_size, requests.size() - first);
      const std::string note =
          fmt::format("pictures {} to {} of {}", first + 1, first + count, requests.size());
      const at::Tensor images = generator_.generate(
          {requests.data() + first, count}, origin_.options,
          [&](std::int64_t done, std::int64_t /*of*/, const at::Tensor& x0) {
            progress.update(batch * steps_each + static_cast<std::uint64_t>(done), note);
            write_preview(done, x0);
          });
      std::vector<Image> pictures = tensor_to_pictures(images);
      for (std::size_t i = 0; i < count; ++i) {
        take(first + i, requests[first + i], names[first + i], std::move(pictures[i]));
      }
    }
    return finish();
  }

 private:
  static std::uint64_t steps_of(const GenerationOptions& options) {
    const std::int64_t steps = options.sampler.steps;
    return static_cast<std::uint64_t>(
        options.initial ? steps - diffusion::first_step_of(steps, options.initial->strength)
                        : steps);
  }

  void take(std::size_t index, const ImageRequest& request, const PictureName& name,
            Image picture) {
    origin_.request = request;
    origin_.files.latents_row = request_.latents_row.value_or(static_cast<std::int64_t>(index));
    if (request.label >= 0) origin_.label = name.subject;
    const PictureTexts texts{parameters_text(origin_), to_json(origin_)};
    if (!outputs_.is_grid) {
      write_picture(outputs_.files[index], picture, texts, request_.quality);
    }
    if (!keeps_all_) return;
    grid_texts_.parameters += (all_.empty() ? "" : "\n\n") + texts.parameters;
    grid_texts_.json.push_back(texts.json);
    all_.push_back(std::move(picture));
  }

  std::vector<fs::path> finish() {
    std::vector<fs::path> files = outputs_.files;
    const Image grid = keeps_all_ ? picture_grid(all_, request_.columns) : Image{};
    if (outputs_.is_grid) write_picture(files[0], grid, grid_texts_, request_.quality);
    if (request_.grid.empty()) return files;
    write_picture(request_.grid, grid, grid_texts_, request_.quality);
    files.push_back(request_.grid);
    return files;
  }

  void write_preview(std::int64_t done, const at::Tensor& x0) {
    if (request_.preview.empty() || done % request_.preview_every != 0) return;
    std::vector<Image> previews = generator_.preview(x0);
    for (Image& preview : previews) {
      preview = fit_picture(preview, origin_.options.width, origin_.options.height);
    }
    write_picture(request_.preview, picture_grid(previews, request_.columns), {}, request_.quality);
  }

  const GenerateRequest& request_;
  ImageGenerator& generator_;
  PictureOrigin origin_;
  OutputNames outputs_;
  bool keeps_all_;
  std::vector<Image> all_;
  PictureTexts grid_texts_;
};

}  // namespace

GenerationOptions drawing_options(const GenerateRequest& request, const ImageGenerator& generator) {
  GenerationOptions options = generator.default_options();
  options.cfg_scale = request.cfg_scale;
  options.guidance_start = request.guidance_start;
  options.guidance_end = request.guidance_end;
  options.guidance_rescale = request.guidance_rescale;
  if (request.steps) options.sampler.steps = *request.steps;
  if (request.sampler) options.sampler.sampler = *request.sampler;
  if (!options.sampler.uses_sigmas()) options.sampler.scheduler = "discrete";  // of another sampler
  if (request.scheduler) options.sampler.scheduler = *request.scheduler;
  if (request.timestep_spacing) options.sampler.timestep_spacing = *request.timestep_spacing;
  if (request.eta) options.sampler.eta = *request.eta;
  return options;
}

std::vector<fs::path> generate(const GenerateRequest& request) {
  check_sampling(request);
  const std::vector<PictureName> names = picture_names(request);
  OutputNames outputs = output_names(request.output, names);
  for (const fs::path& file : {request.grid, request.preview}) {
    if (!file.empty()) picture_format(file);
    if (std::ranges::find(outputs.files, file) == outputs.files.end()) continue;
    throw UserError("{}: is the name of a picture (-o); expected another", file.string());
  }
  const InitialImages images = read_initial_images(request);
  const at::Device device = select_device(request.device);
  const DiffusionModel model = open_drawing_model(request.model, device);
  check_conditions(request, conditioning_kind(model.unet->options()));
  const std::vector<ImageRequest> requests = requests_of(request, names, model);
  ImageGenerator generator(model, device);
  GenerationOptions options = options_of(request, generator, images);
  for (const fs::path& file : outputs.files) prepare_folder_of(file);
  for (const fs::path& file : {request.grid, request.preview}) prepare_folder_of(file);
  if (model.text_encoder) warn_of_truncation(request, *model.text_encoder);
  return Drawing(request, generator, std::move(options), std::move(outputs)).draw(requests, names);
}

}  // namespace crescendo::pipelines
