#include "pipelines/serving/connection.h"

#include <algorithm>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

namespace crescendo::pipelines {

namespace {

constexpr std::chrono::milliseconds kPause(5000);  // between two bytes
constexpr std::chrono::seconds kRequest(60);       // from the first byte to the last
constexpr std::chrono::milliseconds kFarewell(1000);
constexpr std::size_t kFarewellBytes = std::size_t{64} << 20;

bool wait_for(int socket, short event, std::chrono::milliseconds patience) {
  pollfd wanted{socket, event, 0};
  return ::poll(&wanted, 1, static_cast<int>(patience.count())) > 0;
}

using AddressOf = int (*)(int, sockaddr*, socklen_t*);

void address(int socket, AddressOf address_of, std::string& ip, int& port) {
  sockaddr_storage storage{};
  socklen_t size = sizeof storage;
  if (address_of(socket, reinterpret_cast<sockaddr*>(&storage), &size) != 0) return;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (storage.ss_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, &storage, sizeof six);
    ::inet_ntop(AF_INET6, &six.sin6_addr, text.data(), text.size());
    port = ntohs(six.sin6_port);
  } else {
    sockaddr_in four{};
    std::memcpy(&four, &storage, sizeof four);
    ::inet_ntop(AF_INET, &four.sin_addr, text.data(), text.size());
    port = ntohs(four.sin_port);
  }
  ip = text.data();
}

}  // namespace

bool has_left(int socket) {
  pollfd wanted{socket, POLLRDHUP, 0};
  return ::poll(&wanted, 1, 0) > 0 && (wanted.revents & (POLLRDHUP | POLLHUP | POLLERR)) != 0;
}

Connection::Connection(int socket)
    : socket_(socket), deadline_(std::chrono::steady_clock::now() + kRequest) {}

bool Connection::is_readable() const {
  return begin_ < end_ ||
         (std::chrono::steady_clock::now() < deadline_ && wait_for(socket_, POLLIN, kPause));
}

bool Connection::is_writable() const {
  return wait_for(socket_, POLLOUT, kPause) && !has_left(socket_);
}

ssize_t Connection::read(char* data, std::size_t size) {
  if (begin_ == end_) {
    if (!is_readable()) return -1;
    const ssize_t received = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
    if (received <= 0) return received;
    begin_ = 0;
    end_ = static_cast<std::size_t>(received);
  }
  const std::size_t count = std::min(size, end_ - begin_);
  std::memcpy(data, buffer_.data() + begin_, count);
  begin_ += count;
  return static_cast<ssize_t>(count);
}

ssize_t Connection::write(const char* data, std::size_t size) {
  for (std::size_t written = 0; written < size;) {
    if (!wait_for(socket_, POLLOUT, kPause)) return -1;
    const ssize_t sent =
        ::send(socket_, data + written, size - written, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) return -1;
    written += static_cast<std::size_t>(sent);
  }
  return static_cast<ssize_t>(size);
}

void Connection::get_remote_ip_and_port(std::string& ip, int& port) const {
  address(socket_, ::getpeername, ip, port);
}

void Connection::get_local_ip_and_port(std::string& ip, int& port) const {
  address(socket_, ::getsockname, ip, port);
}

void Connection::finish() {
  // Closed with bytes unread, the kernel would reset the connection and the answer with it.
  ::shutdown(socket_, SHUT_WR);
  const auto deadline = std::chrono::steady_clock::now() + kFarewell;
  for (std::size_t left = kFarewellBytes; left > 0;) {
    const auto patience = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    if (patience.count() <= 0 || !wait_for(socket_, POLLIN, patience)) break;
    const ssize_t received = ::recv(socket_, buffer_.data(), buffer_.size(), 0);
    if (received <= 0) break;
    left -= std::min(left, static_cast<std::size_t>(received));
  }
  ::close(socket_);
}

}  // namespace crescendo::pipelines
