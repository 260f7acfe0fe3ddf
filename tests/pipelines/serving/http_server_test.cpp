#include "pipelines/serving/http_server.h"

#include <future>
#include <string>
#include <thread>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include "core/error.h"
#include "tests/pipelines/serving/served.h"

namespace crescendo::pipelines {
namespace {

/// A connection that sends what it likes.
class Client {
 public:
  explicit Client(const Served& served) : socket_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(served.server.port()));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    EXPECT_EQ(::connect(socket_, reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  }
  ~Client() { close(); }
  Client(const Client&) = delete;
  Client& operator=(const Client&) = delete;

  void send(std::string_view text) {
    while (!text.empty()) {
      const ssize_t sent = ::send(socket_, text.data(), text.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      text.remove_prefix(static_cast<std::size_t>(sent));
    }
  }

  /// All that comes until the server closes.
  std::string receive() {
    std::string text;
    std::array<char, 4096> buffer{};
    for (ssize_t n = 0; (n = ::recv(socket_, buffer.data(), buffer.size(), 0)) > 0;) {
      text.append(buffer.data(), static_cast<std::size_t>(n));
    }
    return text;
  }

  int status() {
    const std::string text = receive();
    return text.starts_with("HTTP/1.1 ") ? std::stoi(text.substr(9, 3)) : 0;
  }

  void close() {
    if (socket_ >= 0) ::close(std::exchange(socket_, -1));
  }

 private:
  int socket_;
};

std::string post(
    const std::string& path, const std::string& body,
    const std::string& headers = "Host: localhost\r\nContent-Type: application/json\r\n") {
  return fmt::format("POST {} HTTP/1.1\r\n{}Content-Length: {}\r\n\r\n{}", path, headers,
                     body.size(), body);
}

std::string get(const std::string& path, const std::string& headers = "Host: localhost\r\n") {
  return fmt::format("GET {} HTTP/1.1\r\n{}\r\n", path, headers);
}

int status(const Served& served, const std::string& request) {
  Client client(served);
  client.send(request);
  return client.status();
}

constexpr const char* kPaint = "/sdapi/v1/txt2img";

TEST(HttpServerTest, ServesThePageAndDraws) {
  const Served served;
  Client page(served);
  page.send(get("/"));
  const std::string html = page.receive();
  EXPECT_NE(html.find("Content-Security-Policy: default-src 'none'"), std::string::npos)
      << html.substr(0, 600);
  EXPECT_TRUE(html.ends_with("</html>\n"));
  Client client(served);
  client.send(post(kPaint, R"({"prompt":"a cat"})"));
  const std::string answer = client.receive();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer.substr(0, 300);
  EXPECT_NE(answer.find("\"images\":[\"iVBOR"), std::string::npos);
}

TEST(HttpServerTest, AnswersWholeAndUnpacked) {
  const Served served;
  Client client(served);
  client.send(get("/", "Host: localhost\r\nAccept-Encoding: gzip, br\r\nRange: bytes=0-9,0-9\r\n"));
  const std::string answer = client.receive();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 200")) << answer.substr(0, 300);
  EXPECT_TRUE(answer.ends_with("</html>\n"));
}

TEST(HttpServerTest, RefusesBadRequests) {
  const Served served;
  EXPECT_EQ(status(served, post(kPaint, "{")), 400);
  EXPECT_EQ(status(served, post(kPaint, R"({"steps":-1})")), 422);
  EXPECT_EQ(status(served, "nonsense\r\n\r\n"), 400);
  EXPECT_EQ(status(served, "GET\r\n\r\n"), 400);
  EXPECT_EQ(status(served, "DELETE / HTTP/1.1\r\nHost: localhost\r\n\r\n"), 404);
  EXPECT_EQ(status(served, get("/nowhere")), 404);
  EXPECT_EQ(status(served, get("/" + std::string(8000, 'a'))), 404);
  EXPECT_EQ(status(served, get("/" + std::string(100'000, 'a'))), 414);
  EXPECT_EQ(status(served, get("/../../etc/passwd")), 404);
  EXPECT_EQ(status(served, get("/", "Host: evil.example\r\n")), 403);
  EXPECT_EQ(status(served, post(kPaint, "{}",
                                "Host: localhost\r\nOrigin: http://evil.example\r\n"
                                "Content-Type: application/json\r\n")),
            403);
  EXPECT_EQ(status(served, post(kPaint, "{}", "Host: localhost\r\nContent-Type: text/plain\r\n")),
            415);
  EXPECT_EQ(status(served, post(kPaint, R"({"prompt":"still there"})")), 200);
}

TEST(HttpServerTest, APostNeedsNoBodyWhereNoneIsOfUse) {
  const Served served;
  EXPECT_EQ(status(served, "POST /sdapi/v1/interrupt HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200);
  EXPECT_EQ(
      status(served,
             "POST /sdapi/v1/interrupt HTTP/1.1\r\nHost: localhost\r\nContent-Length: 0\r\n\r\n"),
      200);
}

TEST(HttpServerTest, ABodyIsBoundedHoweverItComes) {
  const Served served({.max_body = 1000});
  const std::string body = R"({"prompt":")" + std::string(2000, 'a') + "\"}";
  EXPECT_EQ(status(served, post(kPaint, body)), 413);
  EXPECT_EQ(
      status(served,
             fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                         "Content-Length: 99999999999999999999\r\n\r\n{{}}",
                         kPaint)),
      413);
  EXPECT_EQ(
      status(served,
             fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
                         kPaint, body.size(), body)),
      413);
  EXPECT_EQ(
      status(served,
             fmt::format("POST {} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
                         "Transfer-Encoding: chunked\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n",
                         kPaint)),
      200);
}

TEST(HttpServerTest, AsksForItsToken) {
  const Served served({.token = "secret"});
  Client client(served);
  client.send(get("/"));
  const std::string answer = client.receive();
  EXPECT_TRUE(answer.starts_with("HTTP/1.1 401"));
  EXPECT_NE(answer.find("WWW-Authenticate: Basic"), std::string::npos);
  EXPECT_EQ(status(served, get("/", "Host: x\r\nAuthorization: Bearer secret\r\n")), 200);
  EXPECT_EQ(status(served, get("/sdapi/v1/progress", "Host: x\r\nAuthorization: Bearer other\r\n")),
            401);
}

TEST(HttpServerTest, TooManyWaitingAreSentAway) {
  Served served;
  served.painter.hold();
  Client first(served);
  first.send(post(kPaint, "{}"));
  served.painter.wait_until_held();
  Client second(served);
  second.send(post(kPaint, "{}"));
  while (served.queue.progress(false).waiting != 1) std::this_thread::yield();
  EXPECT_EQ(status(served, post(kPaint, "{}")), 429);
  EXPECT_EQ(status(served, get("/sdapi/v1/progress")), 200);
  served.painter.release();
  EXPECT_EQ(first.status(), 200);
  EXPECT_EQ(second.status(), 200);
}

TEST(HttpServerTest, AClientThatDisconnectsStopsItsDrawing) {
  Served served;
  served.painter.hold();
  Client first(served);
  first.send(post(kPaint, R"({"steps":1000})"));
  served.painter.wait_until_held();
  Client second(served);
  second.send(post(kPaint, R"({"prompt":"b"})"));
  while (served.queue.progress(false).waiting != 1) std::this_thread::yield();
  first.close();
  while (served.answered != 1) std::this_thread::yield();
  served.painter.release();
  EXPECT_EQ(second.status(), 200);
  EXPECT_EQ(served.painter.steps_done(), 1 + 4) << "the step that was held, then none of the first";
}

TEST(HttpServerTest, NeedsATokenWhereOthersReachIt) {
  try {
    const HttpServer server({.host = "0.0.0.0"});
    FAIL();
  } catch (const UserError& error) {
    EXPECT_NE(
        std::string(error.what()).find("--listen 0.0.0.0: others than this machine can reach"),
        std::string::npos)
        << error.what();
  }
  EXPECT_NO_THROW(HttpServer({.host = "0.0.0.0", .token = "secret"}));
}

TEST(HttpServerTest, APortHasOneServer) {
  const Served served;
  try {
    const HttpServer second({.port = served.server.port()});
    FAIL();
  } catch (const UserError& error) {
    EXPECT_EQ(
        std::string(error.what()),
        fmt::format(
            "--listen 127.0.0.1 --port {}: Address already in use; expected an address of this "
            "machine and a port that is free (--port 0 finds one)",
            served.server.port()));
  }
}

TEST(HttpServerTest, HasAnAddressToShow) {
  const HttpServer server(HttpServer::Options{});
  EXPECT_EQ(server.url(), fmt::format("http://127.0.0.1:{}/", server.port()));
  EXPECT_GT(server.port(), 0);
}

}  // namespace
}  // namespace crescendo::pipelines
