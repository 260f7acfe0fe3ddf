#include "pipelines/serving/web_api.h"

#include <algorithm>
#include <array>
#include <chrono>
#include <string_view>

#include <fmt/chrono.h>

#include "core/atomic_file.h"
#include "core/base64.h"
#include "core/log.h"
#include "dataloader/decode_image.h"
#include "dataloader/encode_image.h"
#include "pipelines/generation/webui_names.h"
#include "pipelines/serving/request_image.h"

namespace crescendo::pipelines {

std::string_view serve_page();  // serve_page.html

namespace {

// What clients ask for to fill their menus, and what there is none of.
constexpr std::array kEmptyLists = {
    "/sdapi/v1/upscalers",     "/sdapi/v1/latent-upscale-modes", "/sdapi/v1/sd-vae",
    "/sdapi/v1/hypernetworks", "/sdapi/v1/face-restorers",       "/sdapi/v1/realesrgan-models",
    "/sdapi/v1/prompt-styles", "/sdapi/v1/extensions",           "/sdapi/v1/loras"};

std::string text_of(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Json samplers_json() {
  Json list = Json::array();
  for (const SamplerName& name : sampler_names()) {
    list.push_back(
        {{"name", name.webui}, {"aliases", {name.alias, name.ours}}, {"options", Json::object()}});
  }
  return list;
}

Json schedulers_json() {
  const auto entry = [](std::string_view name, std::string_view label) {
    return Json{{"name", name},
                {"label", label},
                {"aliases", nullptr},
                {"default_rho", -1},
                {"need_inner_model", false}};
  };
  Json list = {entry("automatic", "Automatic")};
  for (const SchedulerName& name : scheduler_names()) list.push_back(entry(name.api, name.label));
  return list;
}

Json models_json(const ServedModel& model) {
  return {{{"title", model.name},
           {"model_name", model.name},
           {"hash", nullptr},
           {"sha256", nullptr},
           {"filename", model.path},
           {"config", nullptr}}};
}

Json options_json(const ServedModel& model) {
  return {{"sd_model_checkpoint", model.name},
          {"samples_format", "png"},
          {"CLIP_stop_at_last_layers", 1}};
}

/// Takes what is so already.
Json set_options(const std::string& body, const ServedModel& model) {
  RequestBody wanted(body);
  const Json options = options_json(model);
  for (const auto& [name, value] : options.items()) wanted.expect_one_of(name, {value});
  const std::vector<std::string> others = wanted.unread();
  if (!others.empty())
    throw field_error(others[0], "not supported; options are given at the start");
  return nullptr;
}

/// What those who drew a picture wrote into it.
Json png_info_json(const std::string& body) {
  const std::vector<std::byte> file = parse_image_file(RequestBody(body).value("image"), "image");
  try {
    const auto texts = dataloader::read_image_text(file);
    const auto parameters = texts.find("parameters");
    return {{"info", parameters == texts.end() ? "" : parameters->second}, {"items", texts}};
  } catch (const dataloader::SampleError& failure) {
    throw field_error("image", failure.what());
  }
}

Json info_json(const ParsedRequest& request, const JobQueue::Outcome& outcome,
               const ServedModel& model) {
  Json info = parameters_json(request, false);
  info["all_prompts"] = Json::array();
  info["all_negative_prompts"] = Json::array();
  info["all_seeds"] = Json::array();
  info["infotexts"] = Json::array();
  for (const PaintedPicture& picture : outcome.pictures) {
    info["all_prompts"].push_back(info["prompt"]);
    info["all_negative_prompts"].push_back(info["negative_prompt"]);
    info["all_seeds"].push_back(picture.seed);
    info["infotexts"].push_back(picture.parameters);
  }
  info["sd_model_name"] = model.name;
  info["index_of_first_image"] = 0;
  info["interrupted"] = outcome.is_interrupted;
  info["warnings"] = request.warnings;
  return info;
}

double share_of(const JobQueue::Progress& progress) {
  return progress.steps > 0
             ? static_cast<double>(progress.step) / static_cast<double>(progress.steps)
             : 0;
}

double seconds_left(const JobQueue::Progress& progress) {
  const double share = share_of(progress);
  return share > 0 ? progress.seconds / share * (1 - share) : 0;
}

}  // namespace

ApiAnswer answer_of(const ApiError& error) {
  return {error.status(), "application/json", text_of({{"detail", error.detail()}})};
}

WebApi::WebApi(const Painter& painter, JobQueue& queue, Options options)
    : painter_(painter), queue_(queue), options_(std::move(options)) {
  add_routes();
}

void WebApi::add_json(const std::string& method_and_path,
                      std::function<Json(const ApiRequest&)> json) {
  routes_[method_and_path] = [json = std::move(json)](const ApiRequest& request) {
    return ApiAnswer{200, "application/json", text_of(json(request))};
  };
}

void WebApi::add_routes() {
  const ServedModel& model = painter_.model;
  routes_["GET /"] = [](const ApiRequest&) {
    return ApiAnswer{200, "text/html; charset=utf-8", std::string(serve_page())};
  };
  routes_["POST /sdapi/v1/txt2img"] = [this](const ApiRequest& r) { return paint(r, false); };
  routes_["POST /sdapi/v1/img2img"] = [this](const ApiRequest& r) { return paint(r, true); };
  add_json("GET /sdapi/v1/progress", [this](const ApiRequest& r) { return progress_json(r); });
  add_json("POST /internal/progress", [this](const ApiRequest& r) { return task_json(r); });
  add_json("POST /sdapi/v1/interrupt", [this](const ApiRequest&) {
    queue_.interrupt();
    return Json::object();
  });
  add_json("POST /sdapi/v1/skip", [this](const ApiRequest&) {
    queue_.skip();
    return Json::object();
  });
  add_json("POST /sdapi/v1/png-info", [](const ApiRequest& r) { return png_info_json(r.body); });
  add_json("GET /sdapi/v1/samplers", [](const ApiRequest&) { return samplers_json(); });
  add_json("GET /sdapi/v1/schedulers", [](const ApiRequest&) { return schedulers_json(); });
  add_json("GET /sdapi/v1/sd-models", [&model](const ApiRequest&) { return models_json(model); });
  add_json("GET /sdapi/v1/options", [&model](const ApiRequest&) { return options_json(model); });
  add_json("POST /sdapi/v1/options",
           [&model](const ApiRequest& r) { return set_options(r.body, model); });
  add_json("GET /sdapi/v1/embeddings", [](const ApiRequest&) {
    return Json{{"loaded", Json::object()}, {"skipped", Json::object()}};
  });
  for (const char* path : kEmptyLists) {
    add_json(fmt::format("GET {}", path), [](const ApiRequest&) { return Json::array(); });
  }
  add_json("GET /crescendo/v1/model", [this](const ApiRequest&) { return model_json(); });
}

ApiAnswer WebApi::answer(const ApiRequest& request) {
  try {
    const auto found = routes_.find(request.method + " " + request.path);
    if (found != routes_.end()) return found->second(request);
    const bool is_path = std::ranges::any_of(
        routes_, [&](const auto& route) { return route.first.ends_with(" " + request.path); });
    throw is_path ? ApiError(405, "Method Not Allowed") : ApiError(404, "Not Found");
  } catch (const ApiError& error) {
    return pipelines::answer_of(error);
  } catch (const UserError& error) {
    return pipelines::answer_of(ApiError(422, error.what()));
  } catch (const std::exception& error) {
    log::error("{} {}: {}", request.method, request.path, error.what());
    return pipelines::answer_of(ApiError(500, error.what()));
  }
}

ApiAnswer WebApi::paint(const ApiRequest& request, bool with_image) {
  ParsedRequest parsed =
      parse_paint_request(request.body, with_image, painter_.model, options_.limits);
  painter_.check(parsed.paint);
  const JobQueue::Outcome outcome = queue_.run(parsed.paint, parsed.task_id, request.is_gone);
  log::info("drew {} of {} pictures, {}x{}, {} steps, seed {}", outcome.pictures.size(),
            parsed.paint.count, parsed.paint.width, parsed.paint.height, parsed.paint.steps,
            parsed.paint.seed);
  Json images = Json::array();
  for (const PaintedPicture& picture : outcome.pictures) {
    if (parsed.send_images) images.push_back(to_base64(picture.png));
    try {
      save(picture);
    } catch (const Error& failure) {
      log::warn("{}", failure.what());
      parsed.warnings.emplace_back(failure.what());
    }
  }
  const Json info = info_json(parsed, outcome, painter_.model);
  return {200, "application/json",
          text_of({{"images", std::move(images)},
                   {"parameters", parameters_json(parsed, with_image)},
                   {"info", text_of(info)}})};
}

void WebApi::save(const PaintedPicture& picture) const {
  if (options_.save_folder.empty()) return;
  const auto now = std::chrono::system_clock::now();
  const auto micros =
      std::chrono::duration_cast<std::chrono::microseconds>(now.time_since_epoch()).count();
  const std::string name = fmt::format("{:%Y%m%d-%H%M%S}.{:06}-{}.png",
                                       fmt::localtime(std::chrono::system_clock::to_time_t(now)),
                                       micros % 1'000'000, picture.seed);
  write_file_atomically(options_.save_folder / name,
                        {reinterpret_cast<const char*>(picture.png.data()), picture.png.size()});
}

Json WebApi::progress_json(const ApiRequest& request) {
  const auto skip = request.query.find("skip_current_image");
  const bool with_preview = skip == request.query.end() || skip->second != "true";
  const JobQueue::Progress progress = queue_.progress(with_preview);
  Json image = nullptr;
  if (progress.preview) image = to_base64(dataloader::encode_png(*progress.preview));
  return {{"progress", share_of(progress)},
          {"eta_relative", seconds_left(progress)},
          {"state",
           {{"skipped", progress.is_skipped},
            {"interrupted", progress.is_interrupted},
            {"stopping_generation", progress.is_interrupted},
            {"job", progress.task_id},
            {"job_count", (progress.is_active ? 1 : 0) + progress.waiting},
            {"job_timestamp", "0"},
            {"job_no", 0},
            {"sampling_step", progress.step},
            {"sampling_steps", progress.steps}}},
          {"current_image", std::move(image)},
          {"textinfo", nullptr}};
}

/// Of one request, which its sender named by force_task_id. The route is that of their own page.
Json WebApi::task_json(const ApiRequest& request) {
  RequestBody body(request.body);
  const std::string id = body.text("id_task");
  const std::int64_t seen = body.integer("id_live_preview", -1, -1, std::int64_t{1} << 53);
  const bool with_preview = body.flag("live_preview", true);
  const JobQueue::TaskState state = queue_.task_state(id);
  Json json = {{"active", state == JobQueue::TaskState::kActive},
               {"queued", state == JobQueue::TaskState::kWaiting},
               {"completed", state == JobQueue::TaskState::kDone},
               {"progress", nullptr},
               {"eta", nullptr},
               {"live_preview", nullptr},
               {"id_live_preview", seen},
               {"textinfo", state == JobQueue::TaskState::kWaiting ? Json("waiting") : Json()}};
  if (state != JobQueue::TaskState::kActive) return json;
  const JobQueue::Progress progress = queue_.progress(with_preview);
  if (progress.task_id != id) return json;  // ended in between
  json["progress"] = share_of(progress);
  json["eta"] = seconds_left(progress);
  json["textinfo"] = fmt::format("step {} of {}", progress.step, progress.steps);
  const auto number = static_cast<std::int64_t>(progress.preview_number);
  if (progress.preview && number != seen) {
    json["live_preview"] =
        "data:image/png;base64," + to_base64(dataloader::encode_png(*progress.preview));
    json["id_live_preview"] = number;
  }
  return json;
}

/// What the page needs to know.
Json WebApi::model_json() const {
  const ServedModel& model = painter_.model;
  Json samplers = Json::array();
  for (const SamplerName& name : sampler_names()) samplers.push_back(name.webui);
  Json schedulers = {"Automatic"};
  for (const SchedulerName& name : scheduler_names()) schedulers.push_back(name.label);
  return {{"name", model.name},
          {"conditioning", model.conditioning},
          {"class_names", model.class_names},
          {"width", model.width},
          {"height", model.height},
          {"size_multiple", model.size_multiple},
          {"cfg_scale", model.cfg_scale},
          {"steps", model.steps},
          {"sampler", webui_sampler_name(model.sampler)},
          {"scheduler", webui_scheduler_name(model.scheduler)},
          {"samplers", std::move(samplers)},
          {"schedulers", std::move(schedulers)},
          {"max_pixels", options_.limits.max_pixels},
          {"max_pictures", options_.limits.max_pictures}};
}

}  // namespace crescendo::pipelines
