#pragma once

#include <cstddef>
#include <filesystem>
#include <functional>
#include <string>

#include "pipelines/models/model_choice.h"
#include "pipelines/serving/http_server.h"
#include "pipelines/serving/paint_request.h"

namespace crescendo::pipelines {

struct ServeRequest {
  ModelChoice model;
  std::string device = "auto";
  HttpServer::Options http{.port = 7860};
  RequestLimits limits;
  std::size_t max_queue = 8;          ///< requests that wait beside the one that is drawn
  std::filesystem::path save_folder;  ///< of every picture drawn; "": none is kept
};

/// Serves the page and the API (docs/serving.md) until a stop is asked for (core/interruption.h);
/// `on_listening` is told the address once the model is there. Throws UserError before the model is
/// loaded where the address cannot be had.
void serve(const ServeRequest& request,
           const std::function<void(const std::string& url)>& on_listening);

}  // namespace crescendo::pipelines
