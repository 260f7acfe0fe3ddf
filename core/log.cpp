#include "core/log.h"

#include <memory>

#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>

#include "core/error.h"
#include "core/progress.h"

namespace crescendo::log {

namespace {

/// Standard error shared with the progress bar: a line of log wipes the bar, which is drawn anew.
class TerminalSink final : public spdlog::sinks::ansicolor_stderr_sink_mt {
 public:
  void log(const spdlog::details::log_msg& message) override {
    Progress::wipe_line();
    spdlog::sinks::ansicolor_stderr_sink_mt::log(message);
  }
};

}  // namespace

void start(bool quiet) {
  auto sink = std::make_shared<TerminalSink>();
  sink->set_pattern("%^%v%$");
  auto logger = std::make_shared<spdlog::logger>("crescendo", std::move(sink));
  logger->set_level(quiet ? spdlog::level::warn : spdlog::level::info);
  logger->flush_on(spdlog::level::info);
  spdlog::set_default_logger(std::move(logger));
}

void also_to_file(const std::filesystem::path& path) {
  try {
    auto sink = std::make_shared<spdlog::sinks::basic_file_sink_mt>(path.string());
    sink->set_pattern("%Y-%m-%d %H:%M:%S %l %v");
    spdlog::default_logger()->sinks().push_back(std::move(sink));
  } catch (const spdlog::spdlog_ex& failure) {
    throw UserError("{}: cannot write the log: {}", path.string(), failure.what());
  }
}

}  // namespace crescendo::log
