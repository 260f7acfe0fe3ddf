#pragma once

#include <memory>
#include <sstream>
#include <string>

#include <spdlog/sinks/ostream_sink.h>
#include <spdlog/spdlog.h>

namespace crescendo {

/// The lines that `action` logs.
template <typename Action>
std::string logged_text(Action&& action) {
  std::ostringstream lines;
  const auto before = spdlog::default_logger();
  spdlog::set_default_logger(std::make_shared<spdlog::logger>(
      "test", std::make_shared<spdlog::sinks::ostream_sink_mt>(lines)));
  spdlog::set_pattern("%v");
  action();
  spdlog::set_default_logger(before);
  return lines.str();
}

}  // namespace crescendo
