#include "pipelines/config/config.h"

#include <algorithm>
#include <map>
#include <optional>
#include <sstream>
#include <utility>

#include <toml++/toml.h>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/text.h"

namespace crescendo::pipelines {

namespace {

using Json = nlohmann::json;

/// Values by section and key, each with where it was written.
struct Value {
  Json json;
  std::string where;
};
using Values = std::map<std::string, std::map<std::string, Value>>;

Json to_json(const toml::node& node) {
  if (const auto* text = node.as_string()) return text->get();
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* truth = node.as_boolean()) return truth->get();
  if (const auto* array = node.as_array()) {
    Json list = Json::array();
    for (const toml::node& item : *array) list.push_back(to_json(item));
    return list;
  }
  if (const auto* table = node.as_table()) {
    Json object = Json::object();
    for (const auto& [key, item] : *table) object[std::string(key.str())] = to_json(item);
    return object;
  }
  std::ostringstream text;
  if (const auto* date = node.as_date()) text << date->get();
  if (const auto* time = node.as_time()) text << time->get();
  if (const auto* date_time = node.as_date_time()) text << date_time->get();
  return text.str();
}

toml::table parse_toml(const std::string& text, const std::string& name) {
  try {
    return toml::parse(text, name);
  } catch (const toml::parse_error& failure) {
    const toml::source_position at = failure.source().begin;
    throw UserError("{}:{}:{}: not valid TOML: {}", name, at.line, at.column,
                    failure.description());
  }
}

const Section* find_section(std::span<const Section> sections, const std::string& name) {
  const auto found = std::ranges::find(sections, name, &Section::name);
  return found == sections.end() ? nullptr : &*found;
}

class ConfigReader {
 public:
  explicit ConfigReader(std::span<const Section> sections) : sections_(sections) {
    for (const Section& section : sections) names_.push_back(section.name);
  }

  void add_file(const std::filesystem::path& path) {
    const std::string name = path.string();
    for (const auto& [key, node] : parse_toml(read_file(path), name)) {
      add_node(name, std::string(key.str()), node);
    }
  }

  void add_override(const std::string& text) {
    const std::string where = fmt::format("--set {}", text);
    const std::size_t equals = text.find('=');
    const std::size_t dot = text.substr(0, equals).rfind('.');
    if (equals == std::string::npos || dot == std::string::npos) {
      problems_.push_back(fmt::format("{}: expected section.key=value", where));
      return;
    }
    const std::string section = text.substr(0, dot);
    if (find_section(sections_, section) == nullptr) {
      problems_.push_back(fmt::format("{}: unknown section [{}]; {}", where, section,
                                      suggest_name(section, names_)));
      return;
    }
    const std::string key(trim(text.substr(dot + 1, equals - dot - 1)));
    values_[section][key] = {parse_value(text.substr(equals + 1)), where};
  }

  /// Sets the fields; throws when anything was or is wrong.
  void assign() {
    for (const auto& [name, entries] : values_)
      assign_section(*find_section(sections_, name), entries);
    if (problems_.empty()) return;
    if (problems_.size() == 1) throw UserError("{}", problems_[0]);
    throw UserError("{} problems in the configuration\n  {}", problems_.size(),
                    fmt::join(problems_, "\n  "));
  }

 private:
  void add_node(const std::string& file, const std::string& name, const toml::node& node) {
    const std::string where = fmt::format("{}:{}", file, node.source().begin.line);
    const Section* section = find_section(sections_, name);
    const toml::table* table = node.as_table();
    if (section == nullptr) {
      problems_.push_back(
          fmt::format("{}: unknown section [{}]; {}", where, name, suggest_name(name, names_)));
      return;
    }
    if (table == nullptr) {
      problems_.push_back(fmt::format("{}: {}: expected a section, [{}]", where, name, name));
      return;
    }
    for (const auto& [key, item] : *table) {
      const std::string field(key.str());
      const std::string nested = fmt::format("{}.{}", name, field);
      if (find_section(sections_, nested) != nullptr) {
        add_node(file, nested, item);
      } else {
        // A key's own line: a value may be a table or begin on a later line.
        values_[name][field] = {to_json(item), fmt::format("{}:{}", file, key.source().begin.line)};
      }
    }
  }

  static Json parse_value(const std::string& text) {
    try {
      return to_json(*toml::parse("value = " + text).get("value"));
    } catch (const toml::parse_error&) {
      return text;
    }
  }

  void assign_section(const Section& section, const std::map<std::string, Value>& entries) {
    for (const auto& [key, value] : entries) {
      for (const std::string& problem :
           model_config_problems(Json{{key, value.json}}, section.fields, section.rules)) {
        problems_.push_back(fmt::format("{}: {}.{}", value.where, section.name, problem));
      }
    }
  }

  std::span<const Section> sections_;
  std::vector<std::string> names_;
  Values values_;
  std::vector<std::string> problems_;
};

std::string to_toml(const nlohmann::ordered_json& value) {
  if (value.is_array()) {
    std::vector<std::string> items;
    for (const auto& item : value) items.push_back(to_toml(item));
    return fmt::format("[{}]", fmt::join(items, ", "));
  }
  // JSON's strings, numbers and booleans are TOML's.
  return value.dump();
}

}  // namespace

void read_config(const std::filesystem::path& path, std::span<const std::string> overrides,
                 std::span<const Section> sections) {
  ConfigReader reader(sections);
  reader.add_file(path);
  for (const std::string& text : overrides) reader.add_override(text);
  reader.assign();
}

std::string config_to_toml(std::span<const Section> sections, bool comments) {
  std::string text;
  for (const Section& section : sections) {
    if (!text.empty()) text += "\n";
    if (comments) text += fmt::format("# {}\n", section.doc);
    text += fmt::format("[{}]\n", section.name);
    const nlohmann::ordered_json values = fields_to_json(section.fields);
    for (const Field& field : section.fields) {
      if (comments) text += fmt::format("# {} ({})\n", field.doc, describe_type(field));
      const nlohmann::ordered_json& value = values[field.name];
      text += value.is_null() ? fmt::format("# {} =\n", field.name)
                              : fmt::format("{} = {}\n", field.name, to_toml(value));
    }
  }
  return text;
}

nlohmann::json config_to_json(std::span<const Section> sections) {
  nlohmann::json tables = nlohmann::json::object();
  for (const Section& section : sections) tables[section.name] = fields_to_json(section.fields);
  return tables;
}

}  // namespace crescendo::pipelines
