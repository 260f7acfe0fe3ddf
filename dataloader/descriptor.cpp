#include "dataloader/descriptor.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include <poll.h>
#include <unistd.h>

#include "core/error.h"
#include "core/interruption.h"

namespace crescendo::dataloader {

void Descriptor::close() {
  if (descriptor_ >= 0) ::close(std::exchange(descriptor_, -1));
}

bool wait_for_bytes(int descriptor, std::chrono::milliseconds timeout) {
  const auto end = std::chrono::steady_clock::now() + timeout;
  for (;;) {
    const auto left =
        std::chrono::ceil<std::chrono::milliseconds>(end - std::chrono::steady_clock::now());
    pollfd entry{descriptor, POLLIN, 0};
    const auto wait = std::clamp(left, std::chrono::milliseconds(0), kLook);
    const int ready = ::poll(&entry, 1, static_cast<int>(wait.count()));
    if (ready > 0) return true;
    if (ready == 0 && left.count() <= 0) return false;
    throw_if_stopped();
  }
}

std::size_t read_some(int descriptor, std::span<std::byte> out, const std::string& name) {
  for (;;) {
    const ssize_t count = ::read(descriptor, out.data(), out.size());
    if (count >= 0) return static_cast<std::size_t>(count);
    if (errno != EINTR) throw UserError("{}: cannot read: {}", name, std::strerror(errno));
  }
}

}  // namespace crescendo::dataloader
