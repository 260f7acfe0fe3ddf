#pragma once

#include <map>
#include <string>
#include <string_view>

namespace crescendo::pipelines {

/// What a text "parameters" of AUTOMATIC1111's web UI says, and so what parameters_text() writes.
struct ParametersText {
  std::string prompt{};
  std::string negative_prompt{};
  std::map<std::string, std::string> fields{};  ///< "Steps" -> "20"
};

/// Takes the text apart as the web UI does: the fields are in the last line, if it has three or
/// more of them; before it is the prompt, up to a line that begins with "Negative prompt:".
ParametersText parse_parameters_text(std::string_view text);

}  // namespace crescendo::pipelines
