#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "pipelines/serving/web_api.h"

namespace crescendo::pipelines {

/// Speaks HTTP/1.1, one request a connection, each in a thread of its own out of a few. What it
/// does not admit (pipelines/serving/access.h) or is too long is answered without being read.
class HttpServer {
 public:
  struct Options {
    std::string host = "127.0.0.1";
    int port = 0;                                  ///< 0: one that is free
    std::string token{};                           ///< "": none is needed
    std::size_t max_body = std::size_t{32} << 20;  ///< bytes
    std::size_t threads = 16;                      ///< those that wait for pictures included
  };
  using Handler = std::function<ApiAnswer(const ApiRequest&)>;

  /// Takes the address, so that nobody else can, and answers nothing yet. Throws UserError: without
  /// a token for what is no loopback address, or where the address cannot be had.
  explicit HttpServer(Options options);
  ~HttpServer();
  HttpServer(const HttpServer&) = delete;
  HttpServer& operator=(const HttpServer&) = delete;

  /// Begins to answer, in threads of its own.
  void start(Handler handler);

  /// Answers what has come, then no more.
  void stop();

  int port() const;
  std::string url() const;

 private:
  class Implementation;
  std::unique_ptr<Implementation> implementation_;
};

}  // namespace crescendo::pipelines
