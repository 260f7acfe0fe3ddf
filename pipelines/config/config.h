#pragma once

#include <filesystem>
#include <span>
#include <string>

#include "pipelines/config/options.h"

namespace crescendo::pipelines {

// A run is a TOML file that can be repeated. What may stand in it is the list of sections that the
// options declare; nothing here knows a single key.

/// Reads a TOML file into the fields of `sections`, then `overrides`, each "section.key=value" with
/// a TOML value (a bare word is a string). Throws one UserError that lists everything wrong, each
/// with its line and, for an unknown key, the nearest known one.
void read_config(const std::filesystem::path& path, std::span<const std::string> overrides,
                 std::span<const Section> sections);

/// The sections with their present values as TOML; with `comments`, also every field's meaning,
/// type and range. A field without a value is a comment.
std::string config_to_toml(std::span<const Section> sections, bool comments);

/// The same as an object of tables, by section and key.
nlohmann::json config_to_json(std::span<const Section> sections);

}  // namespace crescendo::pipelines
