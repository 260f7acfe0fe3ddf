#include "pipelines/distributed/nccl.h"

#include <array>
#include <optional>
#include <span>
#include <string>

#include <dlfcn.h>

#include "core/error.h"

namespace crescendo::pipelines {

namespace {

// As in nccl.h, of NCCL 2.
using Comm = struct OpaqueComm*;
struct UniqueId {
  std::array<char, 128> bytes;
};
constexpr int kSuccess = 0;
constexpr int kSum = 0;
constexpr int kNcclFloat32 = 7;
constexpr int kNcclFloat64 = 8;
constexpr int kNcclBfloat16 = 9;

int type_of(Number number) {
  if (number == Number::kBfloat16) return kNcclBfloat16;
  return number == Number::kFloat64 ? kNcclFloat64 : kNcclFloat32;
}

struct Library {
  int (*get_unique_id)(UniqueId*) = nullptr;
  int (*init_rank)(Comm*, int, UniqueId, int) = nullptr;
  int (*all_reduce)(const void*, void*, std::size_t, int, int, Comm, void*) = nullptr;
  int (*destroy)(Comm) = nullptr;
  const char* (*error_string)(int) = nullptr;
};

template <typename Function>
bool find(const char* name, Function& function) {
  function = reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, name));
  return function != nullptr;
}

std::optional<Library> find_library() {
  ::dlopen("libnccl.so.2", RTLD_NOW | RTLD_GLOBAL);  // unless it is within LibTorch
  Library nccl;
  const bool found =
      find("ncclGetUniqueId", nccl.get_unique_id) && find("ncclCommInitRank", nccl.init_rank) &&
      find("ncclAllReduce", nccl.all_reduce) && find("ncclCommDestroy", nccl.destroy) &&
      find("ncclGetErrorString", nccl.error_string);
  return found ? std::optional(nccl) : std::nullopt;
}

class JoinedNccl final : public Nccl {
 public:
  JoinedNccl(const Library& nccl, Communicator& ranks) : nccl_(nccl) {
    UniqueId id{};
    if (ranks.leads()) check(nccl_.get_unique_id(&id), "ncclGetUniqueId");
    ranks.broadcast(std::as_writable_bytes(std::span(id.bytes)), 0);
    check(nccl_.init_rank(&comm_, ranks.size(), id, ranks.rank()), "ncclCommInitRank");
  }
  ~JoinedNccl() override { nccl_.destroy(comm_); }
  JoinedNccl(const JoinedNccl&) = delete;
  JoinedNccl& operator=(const JoinedNccl&) = delete;

  void sum(void* data, std::size_t count, Number number, void* stream) override {
    check(nccl_.all_reduce(data, data, count, type_of(number), kSum, comm_, stream),
          "ncclAllReduce");
  }

 private:
  void check(int code, const char* call) const {
    if (code == kSuccess) return;
    throw UserError("{}: {}; NCCL_DEBUG=WARN in the environment tells more", call,
                    nccl_.error_string(code));
  }

  Library nccl_;
  Comm comm_ = nullptr;
};

}  // namespace

std::unique_ptr<Nccl> Nccl::join(Communicator& ranks) {
  const std::optional<Library> nccl = find_library();
  if (ranks.any(!nccl)) return nullptr;
  return std::make_unique<JoinedNccl>(*nccl, ranks);
}

}  // namespace crescendo::pipelines
