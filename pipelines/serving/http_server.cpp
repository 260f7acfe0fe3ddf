#include "pipelines/serving/http_server.h"

#include <atomic>
#include <cerrno>
#include <cstring>
#include <optional>
#include <thread>

#include <httplib.h>

#include "core/error.h"
#include "pipelines/serving/access.h"
#include "pipelines/serving/api_error.h"
#include "pipelines/serving/connection.h"

namespace crescendo::pipelines {

namespace {

// The socket of the request that this thread answers; httplib's handlers do not have it.
thread_local int current_socket = -1;

/// Whole and as it is: pictures are packed already, and Brotli would take seconds to find that out.
void answer_plainly(httplib::Request& request) {
  request.headers.erase("Accept-Encoding");
  request.ranges.clear();
}

/// httplib's, with connections of our own: of the socket it can be told that the client has left.
class OneRequestServer : public httplib::Server {
 private:
  bool process_and_close_socket(socket_t socket) override {
    Connection connection(socket);
    current_socket = socket;
    bool is_closed = false;
    const bool is_answered =
        process_request(connection, /*close_connection=*/true, is_closed, answer_plainly);
    current_socket = -1;
    connection.finish();
    return is_answered;
  }
};

RequestHead head_of(const httplib::Request& request) {
  const std::string length = request.get_header_value("Content-Length");
  return {
      .method = request.method,
      .host = request.get_header_value("Host"),
      .origin = request.get_header_value("Origin"),
      .authorization = request.get_header_value("Authorization"),
      .content_type = request.get_header_value("Content-Type"),
      .has_body = (!length.empty() && length != "0") || request.has_header("Transfer-Encoding")};
}

void put(const ApiAnswer& answer, httplib::Response& response) {
  response.status = answer.status;
  response.set_content(answer.body, answer.content_type);
  response.set_header("Cache-Control", "no-store");
  response.set_header("X-Content-Type-Options", "nosniff");
  response.set_header("X-Frame-Options", "DENY");
  // The page is one file; it may ask this server and show pictures out of its answers, no more.
  response.set_header(
      "Content-Security-Policy",
      "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; "
      "img-src data: blob:; connect-src 'self'; base-uri 'none'; form-action 'none'");
  if (answer.status == 401) {
    response.set_header("WWW-Authenticate", R"(Basic realm="crescendo", charset="UTF-8")");
  }
  if (answer.status == 429 || answer.status == 503) response.set_header("Retry-After", "5");
}

ApiRequest request_of(const httplib::Request& request) {
  ApiRequest made{
      request.method, request.path, {}, {}, [socket = current_socket] { return has_left(socket); }};
  for (const auto& [name, value] : request.params) made.query[name] = value;
  return made;
}

/// The body, or nothing when it has more than `most` bytes or does not come whole. A length is told
/// before; of one sent in chunks, or packed, only reading tells.
std::optional<std::string> read_body(const httplib::Request& request, std::size_t most,
                                     const httplib::ContentReader& read) {
  std::string body;
  if (!head_of(request).has_body) return body;
  if (request.get_header_value<std::uint64_t>("Content-Length") > most) return {};
  const bool is_whole = read([&](const char* data, std::size_t size) {
    if (size > most - body.size()) return false;
    body.append(data, size);
    return true;
  });
  if (!is_whole) return {};
  return body;
}

}  // namespace

class HttpServer::Implementation {
 public:
  explicit Implementation(Options options) : options_(std::move(options)) {
    if (options_.token.empty() && !is_loopback(options_.host)) {
      throw UserError(
          "--listen {}: others than this machine can reach that address; expected a --token (or "
          "CRESCENDO_TOKEN) that clients must give",
          options_.host);
    }
    server_.new_task_queue = [threads = options_.threads] {
      return new httplib::ThreadPool(threads);
    };
    // httplib's own choice, SO_REUSEPORT, would let two servers share a port.
    server_.set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    errno = 0;
    port_ = options_.port == 0 ? server_.bind_to_any_port(options_.host)
            : server_.bind_to_port(options_.host, options_.port) ? options_.port
                                                                 : -1;
    if (port_ < 0) {
      const std::string cause = errno == 0 ? "no such address" : std::string(std::strerror(errno));
      throw UserError(
          "--listen {} --port {}: {}; expected an address of this machine and a port that is free "
          "(--port 0 finds one)",
          options_.host, options_.port, cause);
    }
  }

  ~Implementation() { stop(); }

  void start(Handler handler) {
    handler_ = std::move(handler);
    server_.set_pre_routing_handler(
        [this](const httplib::Request& request, httplib::Response& response) {
          const auto refusal = refuse(head_of(request), options_.token);
          if (!refusal) return httplib::Server::HandlerResponse::Unhandled;
          put(answer_of(*refusal), response);
          return httplib::Server::HandlerResponse::Handled;
        });
    server_.Get(".*", [this](const httplib::Request& request, httplib::Response& response) {
      put(handler_(request_of(request)), response);
    });
    server_.Post(".*", [this](const httplib::Request& request, httplib::Response& response,
                              const httplib::ContentReader& read) {
      std::optional<std::string> body = read_body(request, options_.max_body, read);
      if (!body) {
        put(answer_of(ApiError(
                413, fmt::format("body: expected at most {} bytes, and all that are announced",
                                 options_.max_body))),
            response);
        return;
      }
      ApiRequest made = request_of(request);
      made.body = std::move(*body);
      put(handler_(made), response);
    });
    // What httplib refuses by itself: no HTTP, other methods, too long a line.
    server_.set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (!response.body.empty()) return;
      put(answer_of(
              ApiError(response.status, response.status == 404 ? "Not Found" : "bad request")),
          response);
    });
    listener_ = std::thread([this] {
      server_.listen_after_bind();
      has_ended_ = true;
    });
  }

  void stop() {
    if (!listener_.joinable()) return;
    // Before it runs, it would not know of a stop.
    while (!server_.is_running() && !has_ended_) std::this_thread::yield();
    server_.stop();
    listener_.join();
  }

  int port() const { return port_; }

  std::string url() const {
    const bool is_any = options_.host == "0.0.0.0" || options_.host == "::";
    const std::string host = is_any ? "localhost" : options_.host;
    return fmt::format("http://{}:{}/",
                       host.find(':') == std::string::npos ? host : "[" + host + "]", port_);
  }

 private:
  Options options_;
  OneRequestServer server_;
  int port_ = -1;
  Handler handler_;
  std::atomic<bool> has_ended_ = false;
  std::thread listener_;
};

HttpServer::HttpServer(Options options)
    : implementation_(std::make_unique<Implementation>(std::move(options))) {}

HttpServer::~HttpServer() = default;

void HttpServer::start(Handler handler) { implementation_->start(std::move(handler)); }

void HttpServer::stop() { implementation_->stop(); }

int HttpServer::port() const { return implementation_->port(); }

std::string HttpServer::url() const { return implementation_->url(); }

}  // namespace crescendo::pipelines
