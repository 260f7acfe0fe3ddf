// Preloaded, it stands for NCCL where there is no GPU: of ranks that all have the same numbers, in
// host memory. The unique id must be that of rank 0.

#include <cstddef>
#include <cstring>
#include <string>

namespace {

struct UniqueId {
  char bytes[128];
};
struct Comm {
  int ranks;
};

}  // namespace

extern "C" {

int crescendo_fake_nccl() { return 1; }  // by which the test knows it

int ncclGetUniqueId(UniqueId* id) {
  std::strcpy(id->bytes, "of rank 0");
  return 0;
}

int ncclCommInitRank(Comm** comm, int ranks, UniqueId id, int /*rank*/) {
  if (std::string(id.bytes) != "of rank 0") return 4;
  *comm = new Comm{ranks};
  return 0;
}

/// float32 alone, on the null stream.
int ncclAllReduce(const void* from, void* to, std::size_t count, int type, int operation,
                  Comm* comm, void* stream) {
  if (type != 7 || operation != 0 || stream != nullptr) return 5;
  const auto* numbers = static_cast<const float*>(from);
  for (std::size_t i = 0; i < count; ++i) {
    static_cast<float*>(to)[i] = numbers[i] * static_cast<float>(comm->ranks);
  }
  return 0;
}

int ncclCommDestroy(Comm* comm) {
  delete comm;
  return 0;
}

const char* ncclGetErrorString(int code) {
  return code == 5 ? "invalid usage" : "invalid argument";
}
}
