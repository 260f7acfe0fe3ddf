#include "pipelines/parameters_request.h"

#include <charconv>
#include <map>
#include <optional>
#include <string>
#include <system_error>
#include <tuple>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/log.h"
#include "pipelines/generation/parameters_text.h"
#include "pipelines/generation/webui_names.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

/// The fields of a text, until they are taken.
class Fields {
 public:
  Fields(std::map<std::string, std::string> fields, const fs::path& picture)
      : fields_(std::move(fields)), picture_(picture) {}

  /// "" where there is none.
  std::string find(const std::string& name) const {
    const auto found = fields_.find(name);
    return found == fields_.end() ? "" : found->second;
  }

  std::string take(const std::string& name) {
    std::string value = find(name);
    fields_.erase(name);
    return value;
  }

  template <typename Number>
  std::optional<Number> take_number(const std::string& name) {
    const std::string field = take(name);
    if (field.empty()) return std::nullopt;
    Number number{};
    if (parse(field, number) != field.data() + field.size()) throw malformed(name, field);
    return number;
  }

  /// "512x512"
  template <typename Number>
  std::optional<std::pair<Number, Number>> take_pair(const std::string& name, char separator) {
    const std::string field = take(name);
    if (field.empty()) return std::nullopt;
    std::pair<Number, Number> numbers;
    const char* const end = field.data() + field.size();
    const char* const middle = parse(field, numbers.first);
    const bool has_two = middle != nullptr && middle != end && *middle == separator &&
                         parse({middle + 1, end}, numbers.second) == end;
    if (!has_two) throw malformed(name, field);
    return numbers;
  }

  std::vector<std::string> rest() const {
    std::vector<std::string> list;
    for (const auto& [name, value] : fields_) list.push_back(name + ": " + value);
    return list;
  }

 private:
  /// Where the number ends that the text begins with; null where it begins with none.
  template <typename Number>
  static const char* parse(std::string_view text, Number& number) {
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    return error == std::errc() ? end : nullptr;
  }

  DataError malformed(const std::string& name, const std::string& field) const {
    return DataError("{}: the text 'parameters' is malformed at {}: {}", picture_.string(), name,
                     field);
  }

  std::map<std::string, std::string> fields_;
  const fs::path& picture_;
};

void check_is_one(std::string_view text, const fs::path& picture) {
  constexpr std::string_view kFirstField = "\nSteps: ";
  const std::string lines = fmt::format("\n{}", text);
  if (lines.find(kFirstField) == lines.rfind(kFirstField)) return;
  throw UserError("{}: a grid of pictures; expected one picture", picture.string());
}

/// A text has the model's name without folder and suffix.
fs::path model_named(const std::string& name) {
  fs::path file = name + ".safetensors";
  return !fs::exists(name) && fs::exists(file) ? file : fs::path(name);
}

void take_sampler(Fields& fields, GenerateRequest& request) {
  const std::string sampler = fields.find("Sampler");
  const auto with_schedule = choose_sampler(sampler, fields.find("Schedule type"));
  const auto choice = with_schedule ? with_schedule : choose_sampler(sampler, "");
  if (!choice) return;
  request.sampler = choice->sampler;
  request.scheduler = choice->scheduler;
  fields.take("Sampler");
  if (with_schedule) fields.take("Schedule type");
  if (choice->sampler == "ddim") request.eta = fields.take_number<double>("Eta");
}

void take_guidance(Fields& fields, GenerateRequest& request) {
  request.cfg_scale = fields.take_number<double>("CFG scale").value_or(request.cfg_scale);
  request.guidance_rescale = fields.take_number<double>("CFG Rescale").value_or(0);
  if (const auto interval = fields.take_pair<double>("Guidance interval", '-')) {
    std::tie(request.guidance_start, request.guidance_end) = *interval;
  }
}

/// Of img2img; that of "hires fix" is of a second pass.
void take_strength(Fields& fields, GenerateRequest& request, const fs::path& picture) {
  if (!fields.find("Hires upscale").empty() || !fields.find("Hires resize").empty()) return;
  const auto strength = fields.take_number<double>("Denoising strength");
  if (!strength) return;
  request.strength = *strength;
  log::warn("{}: was drawn from a picture, which its text does not name; name it with --init-img",
            picture.string());
}

}  // namespace

GenerateRequest request_of_parameters(std::string_view text, const fs::path& picture) {
  check_is_one(text, picture);
  const ParametersText parsed = parse_parameters_text(text);
  if (parsed.fields.empty()) {
    throw UserError(
        "{}: expected a text with fields as 'Steps: 20, Sampler: Euler a, ...', found none",
        picture.string());
  }
  GenerateRequest request;
  Fields fields(parsed.fields, picture);
  if (const std::string label = fields.take("Class"); !label.empty()) {
    request.labels = {label};
  } else if (!parsed.prompt.empty()) {
    request.prompts = {parsed.prompt};
  }
  request.negative_prompt = parsed.negative_prompt;
  request.model.path = model_named(fields.take("Model"));
  request.steps = fields.take_number<std::int64_t>("Steps");
  request.seed = fields.take_number<std::uint64_t>("Seed").value_or(request.seed);
  if (const auto size = fields.take_pair<std::int64_t>("Size", 'x')) {
    std::tie(request.width, request.height) = *size;
  }
  take_sampler(fields, request);
  take_guidance(fields, request);
  take_strength(fields, request, picture);
  fields.take("Model hash");
  const bool is_ours = fields.take("Version").starts_with("crescendo ");
  if (!is_ours) {
    log::info("{}: drawn by another program, whose noise of a seed is another", picture.string());
  }
  if (const std::vector<std::string> rest = fields.rest(); !rest.empty()) {
    log::warn("{}: cannot be drawn with {}; the picture will differ", picture.string(),
              fmt::join(rest, ", "));
  }
  return request;
}

}  // namespace crescendo::pipelines
