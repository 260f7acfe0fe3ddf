#include "pipelines/serve.h"

#include <cstdlib>
#include <memory>

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include "core/error.h"
#include "pipelines/cli/commands.h"
#include "pipelines/cli/drawing_options.h"
#include "pipelines/cli/signal_handlers.h"
#include "pipelines/cli/templates_folder.h"

namespace crescendo::cli {

namespace {

using pipelines::ServeRequest;

void add_server_options(CLI::App& command, ServeRequest& request) {
  command
      .add_option("--listen,--host", request.http.host,
                  "address to listen on; one that others reach (0.0.0.0: all) needs a token")
      ->capture_default_str();
  command.add_option("--port", request.http.port, "0: one that is free")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();
  command.add_option("--token", request.http.token,
                     "what clients must give, as 'Authorization: Bearer TOKEN' or as a password; "
                     "CRESCENDO_TOKEN in the environment shows it to fewer eyes");
  command.add_option("--save", request.save_folder, "folder to keep every picture in");
  command
      .add_option("--max-queue", request.max_queue, "requests that wait; more are sent away (429)")
      ->check(CLI::Range(0, 1000))
      ->capture_default_str();
  command.add_option("--max-pixels", request.limits.max_pixels, "of a picture, width times height")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 28))
      ->capture_default_str();
  command.add_option("--max-batch", request.limits.max_pictures, "pictures of a request")
      ->check(CLI::Range(1, 1000))
      ->capture_default_str();
  command.add_option("--max-body", request.http.max_body, "bytes of a request")
      ->check(CLI::Range(std::size_t{1024}, std::size_t{1} << 30))
      ->capture_default_str();
}

}  // namespace

void add_serve(CLI::App& app) {
  CLI::App* command =
      app.add_subcommand("serve", "Draw pictures from a web page or over HTTP, as AUTOMATIC1111");
  const auto request = std::make_shared<ServeRequest>();
  add_model_options(*command, request->model)->required();
  command->add_option("--device", request->device, "auto, cpu, cuda or cuda:N")
      ->capture_default_str();
  add_server_options(*command, *request);
  command->footer(
      "Examples:\n"
      "  crescendo serve -m runs/emoji\n"
      "  crescendo serve -m models/sd15 --lora style.safetensors:0.8 --port 8000 --save pictures/\n"
      "  CRESCENDO_TOKEN=secret crescendo serve -m models/sd15 --listen 0.0.0.0\n"
      "Ctrl-C ends it. docs/serving.md has the routes.");
  command->callback([request] {
    request->model.templates = templates_folder();
    if (const char* token = std::getenv("CRESCENDO_TOKEN"); token && request->http.token.empty()) {
      request->http.token = token;
    }
    const SignalHandlers handlers;
    pipelines::serve(*request, [](const std::string& url) {
      fmt::print("{}\n", url);
      std::fflush(stdout);
    });
  });
}

}  // namespace crescendo::cli
