#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "pipelines/generation/image_generator.h"

namespace crescendo::pipelines {

/// What a model is asked to draw, to be judged by it.
struct Subjects {
  std::vector<ImageRequest> requests{};  ///< without seeds; none for an unconditional model
  std::vector<std::string> labels{};     ///< of a class model, as they were given
  std::string key;                       ///< "prompts", "classes" or ""
  std::string origin;                    ///< "of the file", "of the reference", "all in turn"
};

/// Those that are `given`, in their order; else those of the reference, in a random order by the
/// seed; else, of a class model, all classes in turn. Throws UserError, naming `where`, for a text
/// model without prompts, an unconditional one with some, and classes that are not there.
Subjects choose_subjects(const DiffusionModel& model, const std::vector<std::string>& given,
                         const std::vector<std::string>& captions,
                         const std::vector<std::string>& labels, std::uint64_t seed,
                         const std::string& where);

}  // namespace crescendo::pipelines
