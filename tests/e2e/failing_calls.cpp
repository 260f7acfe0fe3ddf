// LD_PRELOAD: makes one system call fail. Of the calls that concern paths under a folder, the Nth
// open, write, fsync, rename or mkdir, in any thread, fails as told; all others are passed on.
// Only the first two writes of a file are counted: the others differ in nothing.

#include <array>
#include <atomic>
#include <cerrno>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace {

constexpr int kDescriptors = 4096;
constexpr int kCountedWrites = 2;

std::string folder;
std::atomic<long> seen{0};
std::atomic<long> nth{0};     // 0: none
std::atomic<int> failure{0};  // an errno; 0: a write is short, another call is EIO
std::array<std::atomic<int>, kDescriptors> writes;

template <typename Function>
Function* next(const char* name) {
  return reinterpret_cast<Function*>(::dlsym(RTLD_NEXT, name));
}

std::string path_of(int descriptor) {
  std::array<char, 4096> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(descriptor);
  const ssize_t size = ::readlink(link.c_str(), path.data(), path.size());
  return {path.data(), size > 0 ? static_cast<std::size_t>(size) : 0};
}

bool concerns(std::string_view path) {
  return nth != 0 && path.starts_with(folder) &&
         (path.size() == folder.size() || path[folder.size()] == '/');
}

/// FAILING_CALLS=FOLDER:N:ERRNO, for a whole program.
const bool configured = [] {
  const char* text = std::getenv("FAILING_CALLS");
  if (text == nullptr) return false;
  const std::string all = text;
  const std::size_t second = all.rfind(':');
  const std::size_t first = all.rfind(':', second - 1);
  folder = all.substr(0, first);
  failure = std::stoi(all.substr(second + 1));
  nth = std::stol(all.substr(first + 1, second - first - 1));
  return true;
}();

/// Counts a call; true when it is the one to fail.
bool is_its_turn(std::string_view path) {
  if (!concerns(path) || ++seen != nth) return false;
  if (configured) ::dprintf(STDERR_FILENO, "failing_calls: call %ld\n", nth.load());
  errno = failure != 0 ? failure.load() : EIO;
  return true;
}

int opened(int descriptor) {
  if (descriptor >= 0 && descriptor < kDescriptors) writes[descriptor] = 0;
  return descriptor;
}

std::string resolve(int directory, const char* path) {
  if (directory == AT_FDCWD || path[0] == '/') return path;
  return path_of(directory) + "/" + path;
}

mode_t mode_in(int flags, std::va_list arguments) {
  return (flags & (O_CREAT | O_TMPFILE)) != 0 ? va_arg(arguments, mode_t) : 0;
}

}  // namespace

// The C library's own names for the parameters are reserved ones.
// NOLINTBEGIN(readability-inconsistent-declaration-parameter-name)
extern "C" {

void failing_calls_arm(const char* under, long number, int code) {
  nth = 0;
  folder = under;
  seen = 0;
  failure = code;
  nth = number;
}

long failing_calls_seen() { return seen; }

int open(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  if (is_its_turn(path)) return -1;
  return opened(next<int(const char*, int, ...)>("open")(path, flags, mode));
}

int open64(const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  if (is_its_turn(path)) return -1;
  return opened(next<int(const char*, int, ...)>("open64")(path, flags, mode));
}

int openat(int directory, const char* path, int flags, ...) {
  std::va_list arguments;
  va_start(arguments, flags);
  const mode_t mode = mode_in(flags, arguments);
  va_end(arguments);
  if (is_its_turn(resolve(directory, path))) return -1;
  return opened(next<int(int, const char*, int, ...)>("openat")(directory, path, flags, mode));
}

FILE* fopen(const char* path, const char* mode) {
  if (is_its_turn(path)) return nullptr;
  return next<FILE*(const char*, const char*)>("fopen")(path, mode);
}

FILE* fopen64(const char* path, const char* mode) {
  if (is_its_turn(path)) return nullptr;
  return next<FILE*(const char*, const char*)>("fopen64")(path, mode);
}

ssize_t write(int descriptor, const void* bytes, size_t size) {
  const auto real = next<ssize_t(int, const void*, size_t)>("write");
  const bool counted = nth != 0 && descriptor >= 0 && descriptor < kDescriptors &&
                       writes[descriptor]++ < kCountedWrites;
  if (!counted || !is_its_turn(path_of(descriptor))) return real(descriptor, bytes, size);
  if (failure != 0 || size < 2) return -1;
  return real(descriptor, bytes, size / 2);
}

int fsync(int descriptor) {
  if (nth != 0 && is_its_turn(path_of(descriptor))) return -1;
  return next<int(int)>("fsync")(descriptor);
}

int rename(const char* from, const char* to) noexcept {
  if (is_its_turn(to)) return -1;
  return next<int(const char*, const char*)>("rename")(from, to);
}

int renameat2(int from_directory, const char* from, int to_directory, const char* to,
              unsigned flags) noexcept {
  if (is_its_turn(resolve(to_directory, to))) return -1;
  return next<int(int, const char*, int, const char*, unsigned)>("renameat2")(
      from_directory, from, to_directory, to, flags);
}

int mkdir(const char* path, mode_t mode) noexcept {
  if (is_its_turn(path)) return -1;
  return next<int(const char*, mode_t)>("mkdir")(path, mode);
}

}  // extern "C"
// NOLINTEND(readability-inconsistent-declaration-parameter-name)
