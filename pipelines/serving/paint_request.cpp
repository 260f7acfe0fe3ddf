#include "pipelines/serving/paint_request.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "pipelines/generation/webui_names.h"
#include "pipelines/serving/api_error.h"
#include "pipelines/serving/request_image.h"
#include "pipelines/serving/sampler_choice.h"

namespace crescendo::pipelines {

namespace {

constexpr std::int64_t kMostSteps = 1000;
constexpr std::int64_t kMostSeed = std::int64_t{1} << 53;  // what a JSON number holds exactly

/// Fields of AUTOMATIC1111's that ask for what there is not, unless they have one of these values.
void refuse_unsupported(RequestBody& body, const ServedModel& model) {
  const Json none = Json::array();
  const Json empty = Json::object();
  body.expect_one_of("enable_hr", {false});
  body.expect_one_of("restore_faces", {false});
  body.expect_one_of("tiling", {false});
  body.expect_one_of("styles", {none});
  body.expect_one_of("subseed_strength", {0});
  body.expect_one_of("seed_resize_from_w", {-1, 0});
  body.expect_one_of("seed_resize_from_h", {-1, 0});
  body.expect_one_of("s_churn", {0});
  body.expect_one_of("s_noise", {1});
  body.expect_one_of("s_min_uncond", {0});
  body.expect_one_of("clip_skip", {1, 0});
  body.expect_one_of("refiner_checkpoint", {"", "None"});
  body.expect_one_of("script_name", {"", "None"});
  body.expect_one_of("alwayson_scripts", {empty, none});
  body.expect_one_of("infotext", {""});
  const Json& settings = body.value("override_settings");
  for (const auto& [name, value] : settings.is_object() ? settings.items() : empty.items()) {
    const bool is_as_it_is =
        (name == "sd_model_checkpoint" && value == model.name) ||
        (name == "CLIP_stop_at_last_layers" && value.is_number() && value.get<double>() <= 1);
    if (!is_as_it_is) {
      throw field_error("override_settings", fmt::format("not supported: '{}'", name));
    }
  }
}

/// Fields of AUTOMATIC1111's that mean nothing without those above, or only to its own page.
void skip_meaningless(RequestBody& body) {
  for (const char* name : {"subseed",
                           "s_tmax",
                           "s_tmin",
                           "hr_scale",
                           "hr_upscaler",
                           "hr_second_pass_steps",
                           "hr_resize_x",
                           "hr_resize_y",
                           "hr_checkpoint_name",
                           "hr_sampler_name",
                           "hr_scheduler",
                           "hr_prompt",
                           "hr_negative_prompt",
                           "hr_cfg",
                           "firstphase_width",
                           "firstphase_height",
                           "refiner_switch_at",
                           "script_args",
                           "do_not_save_samples",
                           "do_not_save_grid",
                           "save_images",
                           "override_settings_restore_afterwards",
                           "disable_extra_networks",
                           "comments",
                           "denoising_strength",
                           "image_cfg_scale",
                           "initial_noise_multiplier",
                           "include_init_images",
                           "sampler_index",
                           "inpaint_full_res_padding",
                           "mask_round",
                           "mask_blur_x",
                           "mask_blur_y"}) {
    body.value(name);
  }
}

std::int64_t parse_side(RequestBody& body, const std::string& name, std::int64_t fallback,
                        const ServedModel& model, const RequestLimits& limits) {
  const std::int64_t side = body.integer(name, fallback, 1, limits.max_pixels);
  const std::int64_t below = side / model.size_multiple * model.size_multiple;
  if (below == side) return side;
  const std::string nearest = below == 0
                                  ? fmt::format("{}", model.size_multiple)
                                  : fmt::format("{} or {}", below, below + model.size_multiple);
  throw field_error(name, fmt::format("expected a multiple of {}, as {}, found {}",
                                      model.size_multiple, nearest, side));
}

void parse_size(RequestBody& body, const ServedModel& model, const RequestLimits& limits,
                PaintRequest& paint) {
  paint.width = parse_side(body, "width", model.width, model, limits);
  paint.height = parse_side(body, "height", model.height, model, limits);
  if (paint.width > limits.max_pixels / paint.height) {
    throw field_error("width",
                      fmt::format("expected at most {} pixels (width x height), found {}x{}",
                                  limits.max_pixels, paint.width, paint.height));
  }
}

void parse_count(RequestBody& body, const RequestLimits& limits, PaintRequest& paint) {
  paint.batch_size = body.integer("batch_size", 1, 1, limits.max_pictures);
  const std::int64_t rounds = body.integer("n_iter", 1, 1, limits.max_pictures);
  paint.count = paint.batch_size * rounds;
  if (paint.count > limits.max_pictures) {
    throw field_error("n_iter",
                      fmt::format("expected at most {} pictures (batch_size x n_iter), found {}",
                                  limits.max_pictures, paint.count));
  }
}

void parse_condition(RequestBody& body, const ServedModel& model, PaintRequest& paint) {
  const std::string prompt = body.text("prompt");
  paint.negative_prompt = body.text("negative_prompt");
  paint.label = body.text("label");
  if (model.conditioning == "text") {
    paint.prompt = prompt;
    if (!paint.label.empty()) throw field_error("label", "a text model; expected a prompt");
    return;
  }
  // Clients know no labels, so that a prompt may name the class.
  if (model.conditioning == "class" && paint.label.empty()) paint.label = prompt;
  if (!paint.negative_prompt.empty()) {
    throw field_error("negative_prompt", "expected none, because this is no text model");
  }
  if (model.conditioning == "none" && !(prompt.empty() && paint.label.empty())) {
    throw field_error("prompt", "expected none, because this model is unconditional");
  }
}

void parse_sampling(RequestBody& body, const ServedModel& model, ParsedRequest& parsed) {
  PaintRequest& paint = parsed.paint;
  paint.steps = body.integer("steps", model.steps, 1, kMostSteps);
  paint.cfg_scale = body.number("cfg_scale", model.cfg_scale, 0, 100);
  const std::string older = body.text("sampler_index");
  const std::string sampler = body.text("sampler_name", older);
  const std::string scheduler = body.text("scheduler");
  const bool is_default = sampler.empty() && scheduler.empty();
  const SamplerChoice choice =
      is_default ? SamplerChoice{model.sampler, model.scheduler}
                 : parse_sampler(sampler.empty() ? model.sampler : sampler, scheduler);
  paint.sampler = choice.sampler;
  paint.scheduler = choice.scheduler;
  const double eta = body.number("eta", 0, 0, 1);
  paint.eta = paint.sampler == "ddim" ? eta : 0;
  const std::int64_t seed = body.integer("seed", -1, -1, kMostSeed);
  paint.seed = seed < 0 ? std::random_device{}() : static_cast<std::uint64_t>(seed);
}

void parse_init_image(RequestBody& body, const RequestLimits& limits, ParsedRequest& parsed) {
  PaintRequest& paint = parsed.paint;
  paint.strength = body.number("denoising_strength", 0.75, 0, 1);
  if (paint.strength == 0) throw field_error("denoising_strength", "expected more than 0");
  const Json& images = body.value("init_images");
  if (!images.is_array() || images.size() != 1) {
    throw field_error("init_images", "expected a list of one picture");
  }
  const std::int64_t mode = body.integer("resize_mode", 0, 0, 3);
  if (mode > 1)
    throw field_error("resize_mode", "not supported; expected 0 (resize) or 1 (crop and resize)");
  const auto fit = mode == 0 ? ImageFit::kStretch : ImageFit::kCrop;
  const dataloader::Size size{paint.width, paint.height};
  paint.init_image = parse_image(images[0], "init_images", size, fit, limits.max_pixels);
  body.expect_one_of("latent_mask", {""});
  const Json& mask = body.value("mask");
  const bool inverted = body.flag("inpainting_mask_invert", false);
  const std::int64_t blur = body.integer("mask_blur", 0, 0, 64);
  const std::int64_t fill = body.integer("inpainting_fill", 1, 0, 3);
  const bool is_zoomed = body.flag("inpaint_full_res", false);
  if (mask.is_null() || mask == Json("")) return;
  paint.mask = parse_image(mask, "mask", size, fit, limits.max_pixels);
  if (inverted) {
    for (std::uint8_t& value : paint.mask->pixels) value = static_cast<std::uint8_t>(255 - value);
  }
  const auto warn = [&](bool is_asked, const char* what) {
    if (is_asked) parsed.warnings.emplace_back(what);
  };
  warn(blur != 0, "mask_blur: not supported; the mask is taken as it is");
  warn(fill != 1, "inpainting_fill: not supported; drawn as 1 (original)");
  warn(is_zoomed, "inpaint_full_res: not supported; the whole picture is drawn");
}

}  // namespace

ParsedRequest parse_paint_request(std::string_view body, bool with_image, const ServedModel& model,
                                  const RequestLimits& limits) {
  RequestBody fields(body);
  ParsedRequest parsed;
  refuse_unsupported(fields, model);
  parse_condition(fields, model, parsed.paint);
  parse_size(fields, model, limits, parsed.paint);
  parse_count(fields, limits, parsed.paint);
  parse_sampling(fields, model, parsed);
  if (with_image) parse_init_image(fields, limits, parsed);
  parsed.task_id = fields.text("force_task_id");
  parsed.send_images = fields.flag("send_images", true);
  skip_meaningless(fields);
  for (const std::string& name : fields.unread()) {
    if (parsed.warnings.size() == 20) break;
    parsed.warnings.push_back(fmt::format("{}: unknown; ignored", name));
  }
  return parsed;
}

Json parameters_json(const ParsedRequest& request, bool with_image) {
  const PaintRequest& paint = request.paint;
  Json json = {{"prompt", paint.prompt.empty() ? paint.label : paint.prompt},
               {"negative_prompt", paint.negative_prompt},
               {"seed", paint.seed},
               {"steps", paint.steps},
               {"cfg_scale", paint.cfg_scale},
               {"width", paint.width},
               {"height", paint.height},
               {"sampler_name", webui_sampler_name(paint.sampler)},
               {"scheduler", webui_scheduler_name(paint.scheduler)},
               {"batch_size", paint.batch_size},
               {"n_iter", paint.count / paint.batch_size},
               {"eta", paint.eta},
               {"send_images", request.send_images}};
  if (!paint.label.empty()) json["label"] = paint.label;
  if (with_image) json["denoising_strength"] = paint.strength;
  return json;
}

}  // namespace crescendo::pipelines
