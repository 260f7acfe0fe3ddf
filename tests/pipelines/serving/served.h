#pragma once

#include <atomic>
#include <thread>

#include "pipelines/serving/http_server.h"
#include "pipelines/serving/job_queue.h"
#include "pipelines/serving/web_api.h"
#include "tests/pipelines/serving/test_painter.h"

namespace crescendo::pipelines {

/// All of a server but a model, on a free port of this machine.
class Served {
 public:
  explicit Served(HttpServer::Options options = {}, const std::string& conditioning = "text",
                  std::size_t max_queue = 1)
      : painter(conditioning), queue(max_queue), server(std::move(options)) {
    server.start([this](const ApiRequest& request) {
      ApiAnswer answer = api.answer(request);
      ++answered;
      return answer;
    });
    worker_ = std::thread([this] {
      try {
        queue.work(functions, [this] {
          if (stop_) throw PaintingCancelled();
        });
      } catch (const PaintingCancelled&) {
      }
    });
  }

  ~Served() {
    painter.release();
    stop_ = true;
    worker_.join();
    server.stop();
  }

  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  std::atomic<int> answered = 0;  ///< requests, whether or not somebody was left to be answered
  TestPainter painter;
  Painter functions = painter.painter();
  JobQueue queue;
  WebApi api{functions, queue, {{.max_pixels = 256 * 256, .max_pictures = 4}, ""}};
  HttpServer server;

 private:
  std::atomic<bool> stop_ = false;
  std::thread worker_;
};

}  // namespace crescendo::pipelines
