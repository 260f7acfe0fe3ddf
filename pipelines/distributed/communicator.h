#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

namespace crescendo::pipelines {

/// How the numbers of a sum travel.
enum class Number : std::uint8_t { kFloat32, kBfloat16, kFloat64 };

/// What goes on between the ranks while its starter does something else.
class Transfer {
 public:
  virtual ~Transfer() = default;
  /// Pushes it on without waiting: without a call now and then MPI may rest until wait().
  virtual void progress() = 0;
  virtual void wait() = 0;
};

/// The processes that train one model together, each a rank. Every call but the questions and
/// abort() is collective: all ranks make it, in the same order. Free of LibTorch, so that a plugin
/// can be one.
class Communicator {
 public:
  Communicator() = default;
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int rank() const = 0;
  virtual int size() const = 0;
  /// Among the ranks of this machine, and how many they are.
  virtual int local_rank() const = 0;
  virtual int local_size() const = 0;

  /// The one that owns the run folder and talks to the user.
  bool leads() const { return rank() == 0; }

  /// Begins to replace `count` numbers at `data` by their sums over the ranks, the same bits on
  /// each. They must live, untouched, until the transfer was waited for.
  virtual std::unique_ptr<Transfer> start_sum(void* data, std::size_t count, Number number) = 0;

  /// Replaces the bytes by those of rank `root`.
  virtual void broadcast(std::span<std::byte> bytes, int root) = 0;

  /// What each rank gave, by rank.
  virtual std::vector<std::string> gather(const std::string& bytes) = 0;

  /// Ends every rank at once; mpirun's exit code is `code`.
  virtual void abort(int code) = 0;

  void sum(std::span<double> values) {
    if (size() > 1) start_sum(values.data(), values.size(), Number::kFloat64)->wait();
  }

  /// Whether it is so on any rank.
  bool any(bool here) {
    double count = here ? 1 : 0;
    sum({&count, 1});
    return count > 0;
  }

  /// The text of rank `root`.
  std::string agree_on(std::string text, int root = 0) {
    if (size() == 1) return text;
    std::uint64_t length = text.size();
    broadcast(std::as_writable_bytes(std::span(&length, 1)), root);
    text.resize(length);
    broadcast(std::as_writable_bytes(std::span(text)), root);
    return text;
  }
};

/// A single process, whose collective calls do nothing.
Communicator& alone();

}  // namespace crescendo::pipelines
