#include "pipelines/cli/arguments.h"

#include <algorithm>
#include <string_view>

#include "core/error.h"
#include "core/text.h"

namespace crescendo::cli {

namespace {

/// `--name` of `--name=value`.
std::string_view name_of(std::string_view argument) {
  return argument.substr(0, argument.find('='));
}

bool has_name(const CLI::Option& option, std::string_view name) {
  const auto is_among = [](const std::vector<std::string>& names, std::string_view word) {
    return std::find(names.begin(), names.end(), word) != names.end();
  };
  if (name.starts_with("--")) return is_among(option.get_lnames(), name.substr(2));
  return name.starts_with("-") && is_among(option.get_snames(), name.substr(1));
}

/// The options that a subcommand takes: its own, and those of all.
class Options {
 public:
  Options(const CLI::App& app, const CLI::App& command) : all_(command.get_options()) {
    const std::vector<const CLI::Option*> of_all = app.get_options();
    all_.insert(all_.end(), of_all.begin(), of_all.end());
  }

  const CLI::Option* find(std::string_view name) const {
    const auto found = std::find_if(all_.begin(), all_.end(), [&](const CLI::Option* option) {
      return has_name(*option, name);
    });
    return found == all_.end() ? nullptr : *found;
  }

  std::vector<std::string> long_names() const {
    std::vector<std::string> names;
    for (const CLI::Option* option : all_) {
      for (const std::string& name : option->get_lnames()) names.push_back("--" + name);
    }
    return names;
  }

 private:
  std::vector<const CLI::Option*> all_;
};

const CLI::App* find_subcommand(const CLI::App& app, const std::vector<std::string>& arguments) {
  const auto word = std::find_if(arguments.begin(), arguments.end(),
                                 [](const std::string& text) { return !text.starts_with('-'); });
  if (word == arguments.end()) return nullptr;
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) {
    names.push_back(command->get_name());
    if (names.back() == *word) return command;
  }
  throw UserError("unknown subcommand '{}'; {}", *word, suggest_name(*word, names));
}

[[noreturn]] void throw_unknown(const CLI::App& command, std::string_view name,
                                const Options& options) {
  const std::string nearest = nearest_name(name, options.long_names());
  if (!nearest.empty()) {
    throw UserError("unknown option '{}'; did you mean '{}'?", name, nearest);
  }
  throw UserError("unknown option '{}'; crescendo {} --help has those that there are", name,
                  command.get_name());
}

}  // namespace

std::vector<std::string> arguments_of(int argc, char** argv) {
  std::vector<std::string> arguments(argv + 1, argv + argc);
  for (std::string& argument : arguments) {
    if (!argument.starts_with("--")) continue;
    const auto end = static_cast<std::ptrdiff_t>(name_of(argument).size());
    std::replace(argument.begin(), argument.begin() + end, '_', '-');
  }
  return arguments;
}

void check_names(const CLI::App& app, const std::vector<std::string>& arguments) {
  const CLI::App* const command = find_subcommand(app, arguments);
  if (command == nullptr) return;
  const Options options(app, *command);
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (argument == "--") return;
    const std::string_view name = name_of(argument);
    const CLI::Option* const option = options.find(name);
    if (option == nullptr && name.starts_with("--")) throw_unknown(*command, name, options);
    const bool takes_next = option != nullptr && option->get_items_expected_min() > 0 &&
                            name.size() == argument.size() && i + 1 < arguments.size();
    if (!takes_next) continue;
    const std::string& value = arguments[++i];
    if (options.find(name_of(value)) != nullptr) {
      throw UserError("{}: expected a value, found the option {}", name, name_of(value));
    }
  }
}

}  // namespace crescendo::cli
