#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <string>

#include <httplib.h>

namespace crescendo::pipelines {

/// True once the other side has closed its end.
bool has_left(int socket);

/// A connection from a client, with an end to our patience: neither a client that sends a byte now
/// and then nor one that reads nothing keeps a thread for long.
class Connection : public httplib::Stream {
 public:
  explicit Connection(int socket);

  bool is_readable() const override;
  bool is_writable() const override;
  ssize_t read(char* data, std::size_t size) override;
  ssize_t write(const char* data, std::size_t size) override;
  void get_remote_ip_and_port(std::string& ip, int& port) const override;
  void get_local_ip_and_port(std::string& ip, int& port) const override;
  socket_t socket() const override { return socket_; }

  /// Closes it such that an answer to a request that was not read whole arrives nevertheless.
  void finish();

 private:
  int socket_;
  std::chrono::steady_clock::time_point deadline_;  ///< of the request
  std::array<char, 16384> buffer_{};
  std::size_t begin_ = 0;  ///< of what was received and not yet read
  std::size_t end_ = 0;
};

}  // namespace crescendo::pipelines
