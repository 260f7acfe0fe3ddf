#include "pipelines/serve.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>
#include <utility>

#include <unistd.h>

#include <c10/util/Exception.h>

#include "core/device.h"
#include "core/error.h"
#include "core/interruption.h"
#include "core/log.h"
#include "pipelines/drawing_model.h"
#include "pipelines/generation/encode_picture.h"
#include "pipelines/generation/image_generator.h"
#include "pipelines/generation/picture.h"
#include "pipelines/generation/picture_origin.h"
#include "pipelines/generation/prompt_truncation.h"
#include "pipelines/serving/job_queue.h"
#include "pipelines/serving/web_api.h"

namespace crescendo::pipelines {

namespace {

namespace fs = std::filesystem;

/// "emoji" for runs/emoji/model as well.
std::string model_name(const fs::path& path) {
  const fs::path whole = fs::absolute(path).lexically_normal();
  const fs::path folder = whole.has_filename() ? whole : whole.parent_path();
  return (folder.filename() == "model" ? folder.parent_path() : folder).filename().string();
}

std::string conditioning_name(ConditioningKind kind) {
  switch (kind) {
    case ConditioningKind::kNone:
      return "none";
    case ConditioningKind::kClass:
      return "class";
    case ConditioningKind::kText:
      return "text";
  }
  return "";
}

/// The model with what the web server asks of it.
class ModelPainter {
 public:
  ModelPainter(const ModelChoice& choice, DiffusionModel model, at::Device device)
      : choice_(choice), model_(std::move(model)), generator_(model_, device) {
    const GenerationOptions defaults = generator_.default_options();
    served_ = {
        .name = model_name(choice.path),
        .path = choice.path.string(),
        .conditioning = conditioning_name(conditioning_kind(model_.unet->options())),
        .class_names = model_.class_names,
        .width = defaults.width,
        .height = defaults.height,
        .size_multiple = model_.vae->downscale_factor() * model_.unet->options().downscale_factor(),
        .cfg_scale = model_.conditioner(device).can_guide() ? 7.0 : 1.0,
        .steps = defaults.sampler.steps,
        .sampler = defaults.sampler.sampler,
        .scheduler = defaults.sampler.scheduler};
    for (auto i = std::ssize(served_.class_names); i < model_.num_classes(); ++i) {
      served_.class_names.push_back(std::to_string(i));
    }
  }

  Painter painter() {
    return {served_, [this](const PaintRequest& asked) { check(asked); },
            [this](const PaintRequest& asked, const auto& on_step, const auto& take) {
              try {
                paint(asked, on_step, take);
              } catch (const c10::Error& failure) {  // what() has a backtrace
                throw Error(failure.what_without_backtrace());
              }
            }};
  }

 private:
  GenerationOptions options_of(const PaintRequest& asked) const {
    GenerationOptions options = generator_.default_options();
    options.sampler.sampler = asked.sampler;
    options.sampler.scheduler = asked.scheduler;
    options.sampler.steps = asked.steps;
    options.sampler.eta = asked.eta;
    options.cfg_scale = asked.cfg_scale;
    options.width = asked.width;
    options.height = asked.height;
    return options;
  }

  void check(const PaintRequest& asked) const {
    if (served_.conditioning == "class") model_.class_number(asked.label, "label");
    generator_.check(options_of(asked));
  }

  void paint(const PaintRequest& asked, const std::function<void(const PaintStep&)>& on_step,
             const std::function<void(PaintedPicture)>& take) {
    warn_of_truncation(asked);
    GenerationOptions options = options_of(asked);
    if (asked.init_image) {
      options.initial =
          generator_.encode(*asked.init_image, asked.mask ? &*asked.mask : nullptr, asked.strength);
    }
    const std::vector<ImageRequest> requests = requests_of(asked);
    const auto batch_size = static_cast<std::size_t>(asked.batch_size);
    const auto batches = static_cast<std::int64_t>((requests.size() + batch_size - 1) / batch_size);
    for (std::int64_t batch = 0; batch < batches; ++batch) {
      const std::size_t first = static_cast<std::size_t>(batch) * batch_size;
      const std::span<const ImageRequest> some(requests.data() + first,
                                               std::min(batch_size, requests.size() - first));
      try {
        const at::Tensor images = generator_.generate(
            some, options, [&](std::int64_t done, std::int64_t steps, const at::Tensor& x0) {
              on_step({batch * steps + done, batches * steps,
                       [&] { return picture_grid(generator_.preview(x0), 0); }});
            });
        hand_over(tensor_to_pictures(images), some, asked, options, take);
      } catch (const PicturesSkipped&) {
      }
    }
  }

  void hand_over(const std::vector<dataloader::Image>& pictures,
                 std::span<const ImageRequest> requests, const PaintRequest& asked,
                 const GenerationOptions& options,
                 const std::function<void(PaintedPicture)>& take) const {
    for (std::size_t i = 0; i < pictures.size(); ++i) {
      const PictureOrigin origin = origin_of(asked, requests[i], options);
      // A picture that came with the request is nowhere to be found again.
      const PictureTexts texts{parameters_text(origin),
                               options.initial ? nullptr : to_json(origin)};
      take({encode_picture(pictures[i], PictureFormat::kPng, texts), requests[i].seed,
            texts.parameters});
    }
  }

  std::vector<ImageRequest> requests_of(const PaintRequest& asked) const {
    ImageRequest one{.prompt = asked.prompt, .negative_prompt = asked.negative_prompt};
    if (served_.conditioning == "class") one.label = model_.class_number(asked.label, "label");
    std::vector<ImageRequest> requests(static_cast<std::size_t>(asked.count), one);
    for (std::size_t i = 0; i < requests.size(); ++i) requests[i].seed = asked.seed + i;
    return requests;
  }

  PictureOrigin origin_of(const PaintRequest& asked, const ImageRequest& image,
                          const GenerationOptions& options) const {
    return {.model = choice_, .request = image, .label = asked.label, .options = options};
  }

  void warn_of_truncation(const PaintRequest& asked) const {
    if (!model_.text_encoder) return;
    for (const std::string& prompt : {asked.prompt, asked.negative_prompt}) {
      const std::string dropped = truncated_end(*model_.text_encoder, prompt);
      if (!dropped.empty()) {
        log::warn("a prompt is longer than {} tokens; its end is cut: {}",
                  model_.text_encoder->max_length(), dropped);
      }
    }
  }

  const ModelChoice& choice_;
  DiffusionModel model_;
  ImageGenerator generator_;
  ServedModel served_;
};

void prepare_folder(const fs::path& folder) {
  if (folder.empty()) return;
  std::error_code error;
  fs::create_directories(folder, error);
  if (error || ::access(folder.c_str(), W_OK) != 0) {
    throw UserError("--save {}: cannot write into the folder: {}", folder.string(),
                    error ? error.message() : std::strerror(errno));
  }
}

/// As long as it lives, the server answers; it ends before what it answers with.
class Answering {
 public:
  Answering(HttpServer& server, WebApi& api) : server_(server) {
    server_.start([&api](const ApiRequest& asked) { return api.answer(asked); });
  }
  ~Answering() { server_.stop(); }
  Answering(const Answering&) = delete;
  Answering& operator=(const Answering&) = delete;

 private:
  HttpServer& server_;
};

}  // namespace

void serve(const ServeRequest& request,
           const std::function<void(const std::string& url)>& on_listening) {
  prepare_folder(request.save_folder);
  HttpServer::Options http = request.http;
  http.threads = request.max_queue + 8;  // all that wait, and some that ask how far they are
  HttpServer server(std::move(http));
  const at::Device device = select_device(request.device);
  ModelPainter model(request.model, open_drawing_model(request.model, device), device);
  const Painter painter = model.painter();
  JobQueue queue(request.max_queue);
  WebApi api(painter, queue, {request.limits, request.save_folder});
  const Answering answering(server, api);
  on_listening(server.url());
  try {
    queue.work(painter, throw_if_stopped);
  } catch (const Interrupted&) {
    log::info("stopped");
  }
}

}  // namespace crescendo::pipelines
