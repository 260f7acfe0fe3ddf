#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/serving/api_error.h"
#include "pipelines/serving/job_queue.h"
#include "pipelines/serving/paint_request.h"
#include "pipelines/serving/painter.h"

namespace crescendo::pipelines {

/// A request that was admitted.
struct ApiRequest {
  std::string method{};
  std::string path{};
  std::map<std::string, std::string> query{};
  std::string body{};
  std::function<bool()> is_gone = [] { return false; };  ///< whether its client has left
};

struct ApiAnswer {
  int status = 200;
  std::string content_type = "application/json";
  std::string body{};
};

/// {"detail": ...}
ApiAnswer answer_of(const ApiError& error);

/// The page, and AUTOMATIC1111's routes below /sdapi/v1/ that its clients use.
class WebApi {
 public:
  struct Options {
    RequestLimits limits{};
    std::filesystem::path save_folder{};  ///< of every picture drawn; "": none is kept
  };

  /// `painter` and `queue`, which some thread works on, outlive it.
  WebApi(const Painter& painter, JobQueue& queue, Options options);

  /// Every failure is an answer.
  ApiAnswer answer(const ApiRequest& request);

 private:
  using Route = std::function<ApiAnswer(const ApiRequest&)>;

  void add_routes();
  void add_json(const std::string& method_and_path, std::function<Json(const ApiRequest&)> json);
  ApiAnswer paint(const ApiRequest& request, bool with_image);
  Json progress_json(const ApiRequest& request);
  Json task_json(const ApiRequest& request);
  Json model_json() const;
  void save(const PaintedPicture& picture) const;

  const Painter& painter_;
  JobQueue& queue_;
  Options options_;
  std::map<std::string, Route> routes_;  ///< by "GET /path"
};

}  // namespace crescendo::pipelines
