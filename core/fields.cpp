#include "core/fields.h"

#include <algorithm>
#include <cmath>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/text.h"

namespace crescendo {

namespace {

using Json = nlohmann::json;

template <typename T>
constexpr bool kIsNumber = std::is_same_v<T, std::int64_t> || std::is_same_v<T, double>;

bool fits(const Json& value, const std::int64_t*) {
  if (value.is_number_unsigned()) {
    return value.get<std::uint64_t>() <=
           static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
  }
  if (value.is_number_integer()) return true;
  if (!value.is_number_float()) return false;
  const auto number = value.get<double>();
  return std::trunc(number) == number && std::abs(number) < 0x1p62;
}
bool fits(const Json& value, const double*) { return value.is_number(); }
bool fits(const Json& value, const bool*) { return value.is_boolean(); }
bool fits(const Json& value, const std::string*) { return value.is_string(); }

std::int64_t convert(const Json& value, const std::int64_t*) {
  return value.is_number_float() ? static_cast<std::int64_t>(value.get<double>())
                                 : value.get<std::int64_t>();
}
template <typename T>
T convert(const Json& value, const T*) {
  return value.get<T>();
}

/// Sets one field from JSON; throws std::invalid_argument with "expected ..., found ...".
class Assigner {
 public:
  Assigner(const Field& field, const Json& value) : field_(field), value_(value) {}

  template <typename T>
  void operator()(T* target) const {
    if (!value_.is_null()) *target = element<T>(value_);
  }

  template <typename T>
  void operator()(std::vector<T>* target) const {
    if (value_.is_null()) return;
    *target = list<T>();
  }

  template <typename T>
  void operator()(std::optional<T>* target) const {
    *target = value_.is_null() ? std::nullopt : std::optional<T>(element<T>(value_));
  }

  void operator()(PerLevel* target) const {
    if (value_.is_null()) return;
    target->values = value_.is_array() ? list<std::int64_t>()
                                       : std::vector<std::int64_t>{element<std::int64_t>(value_)};
    if (target->values.empty()) reject(value_);
  }

 private:
  [[noreturn]] void reject(const Json& found) const {
    throw std::invalid_argument(
        fmt::format("expected {}, found {}", describe_type(field_), found.dump()));
  }

  template <typename T>
  std::vector<T> list() const {
    if (!value_.is_array()) reject(value_);
    std::vector<T> items;
    for (const Json& item : value_) items.push_back(element<T>(item));
    return items;
  }

  template <typename T>
  T element(const Json& value) const {
    if (!fits(value, static_cast<T*>(nullptr))) reject(value);
    T result = convert(value, static_cast<T*>(nullptr));
    if constexpr (kIsNumber<T>) {
      const auto number = static_cast<double>(result);
      if (!(number >= field_.minimum && number <= field_.maximum)) reject(value);
    }
    if constexpr (std::is_same_v<T, std::string>) {
      const auto& choices = field_.choices;
      if (!choices.empty() && std::find(choices.begin(), choices.end(), result) == choices.end()) {
        reject(value);
      }
    }
    return result;
  }

  const Field& field_;
  const Json& value_;
};

struct TypeName {
  std::string operator()(const bool*) const { return "true or false"; }
  std::string operator()(const std::int64_t*) const { return "integer"; }
  std::string operator()(const double*) const { return "number"; }
  std::string operator()(const std::string*) const { return "string"; }
  std::string operator()(const PerLevel*) const { return "integer or one integer per level"; }
  template <typename T>
  std::string operator()(const std::vector<T>*) const {
    return "list of " + (*this)(static_cast<T*>(nullptr)) + "s";
  }
  template <typename T>
  std::string operator()(const std::optional<T>*) const {
    return (*this)(static_cast<T*>(nullptr));
  }
};

struct ToJson {
  nlohmann::ordered_json operator()(const PerLevel* value) const {
    if (value->values.size() == 1) return value->values[0];
    return value->values;
  }
  template <typename T>
  nlohmann::ordered_json operator()(const std::optional<T>* value) const {
    if (!*value) return nullptr;
    return **value;
  }
  template <typename T>
  nlohmann::ordered_json operator()(const T* value) const {
    return *value;
  }
};

std::vector<std::string> names_of(const std::vector<Field>& fields) {
  std::vector<std::string> names;
  for (const Field& field : fields) names.push_back(field.name);
  return names;
}

}  // namespace

std::vector<FieldError> assign_fields(const std::vector<Field>& fields, const Json& values) {
  std::vector<FieldError> errors;
  for (const auto& [key, value] : values.items()) {
    const auto field = std::find_if(fields.begin(), fields.end(),
                                    [&, name = key](const Field& f) { return f.name == name; });
    if (field == fields.end()) {
      const std::string nearest = nearest_name(key, names_of(fields));
      errors.push_back({key, nearest.empty()
                                 ? "unknown key"
                                 : fmt::format("unknown key; did you mean '{}'?", nearest)});
      continue;
    }
    try {
      std::visit(Assigner(*field, value), field->value);
    } catch (const std::invalid_argument& failure) {
      errors.push_back({key, failure.what()});
    }
  }
  return errors;
}

void check_fields(const std::vector<Field>& fields, const std::string& section) {
  // Assigning what is there already changes nothing, but finds what is not allowed.
  for (const FieldError& error : assign_fields(fields, fields_to_json(fields))) {
    throw UserError("{}.{}: {}", section, error.key, error.message);
  }
}

std::string describe_type(const Field& field) {
  if (!field.choices.empty()) {
    const bool is_list = std::holds_alternative<std::vector<std::string>*>(field.value);
    return fmt::format("{}{}", is_list ? "list of " : "one of ", fmt::join(field.choices, ", "));
  }
  std::string text = std::visit(TypeName(), field.value);
  const bool from = field.minimum != std::numeric_limits<double>::lowest();
  const bool to = field.maximum != std::numeric_limits<double>::max();
  if (from && to) return fmt::format("{} from {} to {}", text, field.minimum, field.maximum);
  if (from) return fmt::format("{}, at least {}", text, field.minimum);
  if (to) return fmt::format("{}, at most {}", text, field.maximum);
  return text;
}

nlohmann::ordered_json fields_to_json(const std::vector<Field>& fields) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const Field& field : fields) json[field.name] = std::visit(ToJson(), field.value);
  return json;
}

std::vector<std::string> model_config_problems(const Json& values, const std::vector<Field>& fields,
                                               const ModelConfigRules& rules) {
  std::vector<std::string> problems;
  Json rest = Json::object();
  for (const auto& [key, value] : values.items()) {
    if (key.starts_with('_') ||
        std::find(rules.ignored.begin(), rules.ignored.end(), key) != rules.ignored.end()) {
      continue;
    }
    const auto fixed = std::find_if(rules.fixed.begin(), rules.fixed.end(),
                                    [&, name = key](const FixedKey& f) { return f.name == name; });
    if (fixed == rules.fixed.end()) {
      rest[key] = value;
    } else if (value != fixed->value) {
      problems.push_back(fmt::format("{}: only {} is supported, found {}", key, fixed->value.dump(),
                                     value.dump()));
    }
  }
  for (const FieldError& error : assign_fields(fields, rest)) {
    problems.push_back(fmt::format("{}: {}", error.key, error.message));
  }
  return problems;
}

void read_model_config(const Json& values, const std::string& where,
                       const std::vector<Field>& fields, const ModelConfigRules& rules) {
  if (!values.is_object()) {
    throw DataError("{}: expected a JSON object, found {}", where, values.type_name());
  }
  const std::vector<std::string> problems = model_config_problems(values, fields, rules);
  if (problems.empty()) return;
  if (problems.size() == 1) throw UserError("{}: {}", where, problems[0]);
  throw UserError("{}: {} problems\n  {}", where, problems.size(), fmt::join(problems, "\n  "));
}

Json read_json_file(const std::filesystem::path& path) {
  try {
    return Json::parse(read_file(path));
  } catch (const Json::parse_error& failure) {
    throw DataError("{}: not valid JSON at byte {}", path.string(), failure.byte);
  }
}

nlohmann::ordered_json model_config_to_json(const std::string& class_name,
                                            const std::vector<Field>& fields,
                                            const ModelConfigRules& rules) {
  nlohmann::ordered_json json = {{"_class_name", class_name}};
  json.update(fields_to_json(fields));
  for (const FixedKey& key : rules.fixed) json[key.name] = key.value;
  return json;
}

}  // namespace crescendo
