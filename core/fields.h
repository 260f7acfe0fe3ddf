#pragma once

#include <cstdint>
#include <filesystem>
#include <limits>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <nlohmann/json.hpp>

namespace crescendo {

// One number, one place: an options struct lists its fields once, in a function
// `std::vector<Field> fields(XOptions&)`, with name, meaning, range or choices. Reading a config
// (TOML or a model's config.json), checking it, writing it and documenting it all follow from that
// list. Defaults are the struct's own initialisers.

/// One number for all levels, or one per level, as diffusers' `attention_head_dim` and its like.
/// Written back as it was read: a single value as a number.
struct PerLevel {
  std::vector<std::int64_t> values;
  std::int64_t at(std::size_t level) const {
    return values.size() == 1 ? values[0] : values.at(level);
  }
};

using FieldValue =
    std::variant<bool*, std::int64_t*, double*, std::string*, std::vector<std::int64_t>*,
                 std::vector<double>*, std::vector<std::string>*, std::optional<std::int64_t>*,
                 std::optional<double>*, std::optional<std::string>*, PerLevel*>;

struct Field {
  std::string name;
  FieldValue value;
  std::string doc;                                         ///< one line: meaning, unit
  double minimum = std::numeric_limits<double>::lowest();  ///< of a number, or of each in a list
  double maximum = std::numeric_limits<double>::max();
  std::vector<std::string> choices{};  ///< of a string, or of each in a list
};

/// A key of a model's config.json for which one value only is supported.
struct FixedKey {
  std::string name;
  nlohmann::json value;
};

struct FieldError {
  std::string key;
  std::string message;  ///< "expected ..., found ...", without the place
};

/// Sets the fields that `values` (an object) names and returns everything wrong with it: unknown
/// keys (with the nearest known name), wrong types, values outside range or choices.
/// A null sets an optional to nothing and is otherwise as if absent.
std::vector<FieldError> assign_fields(const std::vector<Field>& fields,
                                      const nlohmann::json& values);

/// Throws UserError, naming `section` and key, when the value of a field is not what it may be.
void check_fields(const std::vector<Field>& fields, const std::string& section);

/// Name, expected type and range of a field for messages and docs: "integer, at least 1".
std::string describe_type(const Field& field);

/// The current values, in the order of the list.
nlohmann::ordered_json fields_to_json(const std::vector<Field>& fields);

/// How a model's config.json is read beyond its fields.
struct ModelConfigRules {
  std::vector<FixedKey> fixed{};       ///< any other value is an error that names the key
  std::vector<std::string> ignored{};  ///< keys without a meaning here; `_...` always are
};

/// As assign_fields, but under the rules of a model's configuration; each problem as "key: what".
std::vector<std::string> model_config_problems(const nlohmann::json& values,
                                               const std::vector<Field>& fields,
                                               const ModelConfigRules& rules);

/// Reads the object `values` of a model's configuration (its config.json, or the table of that
/// model in a run's config, `where`). Throws one UserError that lists everything wrong with it.
void read_model_config(const nlohmann::json& values, const std::string& where,
                       const std::vector<Field>& fields, const ModelConfigRules& rules);

/// Parses a JSON file; throws DataError with file and position.
nlohmann::json read_json_file(const std::filesystem::path& path);

/// What goes into config.json: `_class_name`, the fields, then the fixed keys.
nlohmann::ordered_json model_config_to_json(const std::string& class_name,
                                            const std::vector<Field>& fields,
                                            const ModelConfigRules& rules);

}  // namespace crescendo
