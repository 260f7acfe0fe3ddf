#include "pipelines/evaluation/subjects.h"

#include <utility>

#include "core/error.h"
#include "core/random.h"
#include "pipelines/models/conditioner.h"

namespace crescendo::pipelines {

namespace {

/// In an order by the seed.
std::vector<std::string> shuffled(const std::vector<std::string>& texts, std::uint64_t seed) {
  std::vector<std::string> mixed;
  for (const std::uint32_t i : random_permutation(static_cast<std::uint32_t>(texts.size()), seed,
                                                  Purpose::kSampleOrder, 1)) {
    mixed.push_back(texts[i]);
  }
  return mixed;
}

std::vector<std::string> numbers_below(std::int64_t count) {
  std::vector<std::string> numbers;
  for (std::int64_t i = 0; i < count; ++i) numbers.push_back(std::to_string(i));
  return numbers;
}

}  // namespace

Subjects choose_subjects(const DiffusionModel& model, const std::vector<std::string>& given,
                         const std::vector<std::string>& captions,
                         const std::vector<std::string>& labels, std::uint64_t seed,
                         const std::string& where) {
  const ConditioningKind kind = conditioning_kind(model.unet->options());
  if (kind == ConditioningKind::kNone) {
    if (given.empty()) return {};
    throw UserError("{}: the model is an unconditional one; expected none", where);
  }
  const bool is_class = kind == ConditioningKind::kClass;
  std::vector<std::string> texts = given;
  Subjects subjects{.key = is_class ? "classes" : "prompts", .origin = "of the file"};
  if (texts.empty()) {
    texts = shuffled(is_class ? labels : captions, seed);
    subjects.origin = "of the reference";
  }
  if (texts.empty() && is_class) {
    texts = numbers_below(model.num_classes());
    subjects.origin = "all in turn";
  }
  if (texts.empty()) {
    throw UserError(
        "{}: the model is a text model, and the reference has no captions; expected prompts",
        where);
  }
  for (const std::string& text : texts) {
    ImageRequest& one = subjects.requests.emplace_back();
    if (is_class) {
      one.label = model.class_number(text, where + ", or the reference's classes");
    } else {
      one.prompt = text;
    }
  }
  if (is_class) subjects.labels = std::move(texts);
  return subjects;
}

}  // namespace crescendo::pipelines
