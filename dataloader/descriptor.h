#pragma once

#include <chrono>
#include <cstddef>
#include <span>
#include <string>
#include <utility>

namespace crescendo::dataloader {

/// Owns a file descriptor.
class Descriptor {
 public:
  explicit Descriptor(int descriptor = -1) : descriptor_(descriptor) {}
  ~Descriptor() { close(); }
  Descriptor(Descriptor&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(descriptor_, other.descriptor_);
    return *this;
  }
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;

  int get() const { return descriptor_; }
  bool is_open() const { return descriptor_ >= 0; }
  void close();

 private:
  int descriptor_;
};

/// How often a wait looks whether a stop was asked for; a signal wakes one thread only.
constexpr std::chrono::milliseconds kLook{100};

/// False when there are neither bytes nor the end of them within the time. Throws Interrupted once
/// a stop was asked for.
bool wait_for_bytes(int descriptor, std::chrono::milliseconds timeout);

/// One read(2), begun again when a signal breaks it; 0 at the end. Throws UserError naming `name`.
std::size_t read_some(int descriptor, std::span<std::byte> out, const std::string& name);

}  // namespace crescendo::dataloader
