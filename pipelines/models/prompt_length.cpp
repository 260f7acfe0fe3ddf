#include "pipelines/models/prompt_length.h"

#include <nlohmann/json.hpp>

#include "core/fields.h"

namespace crescendo::pipelines {

std::int64_t prompt_length(const std::filesystem::path& tokenizer) {
  constexpr std::int64_t kDefault = 77;
  const std::filesystem::path file = tokenizer / "tokenizer_config.json";
  if (!std::filesystem::exists(file)) return kDefault;
  const nlohmann::json config = read_json_file(file);
  const auto found = config.is_object() ? config.find("model_max_length") : config.end();
  return found != config.end() && found->is_number_integer() ? found->get<std::int64_t>()
                                                             : kDefault;
}

}  // namespace crescendo::pipelines
