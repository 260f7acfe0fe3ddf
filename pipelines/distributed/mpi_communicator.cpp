// The plugin libcrescendo_mpi.so: MPI is loaded with it, and only where a launcher started ranks.

#include <algorithm>
#include <array>
#include <bit>
#include <chrono>
#include <stdexcept>
#include <thread>

#define OMPI_SKIP_MPICXX 1  // its former C++ interface
#include <mpi.h>

#include "pipelines/distributed/communicator.h"

namespace crescendo::pipelines {

namespace {

constexpr std::size_t kLargestCount = std::size_t{1} << 30;  ///< of MPI, whose counts are ints

/// MPI's own handler would end the job; ours lets the error speak.
void check(int code, const char* call) {
  if (code == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(code, text.data(), &length);
  throw std::runtime_error(std::string(call) + ": " + text.data());
}

int count_of(std::size_t count) {
  if (count > kLargestCount) throw std::runtime_error("MPI: more than 2^30 elements at once");
  return static_cast<int>(count);
}

float widen(std::uint16_t number) {
  return std::bit_cast<float>(static_cast<std::uint32_t>(number) << 16);
}

/// To the nearest, ties to even.
std::uint16_t narrow(float number) {
  const auto bits = std::bit_cast<std::uint32_t>(number);
  if (number != number) return 0x7FC0;
  return static_cast<std::uint16_t>((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16);
}

/// MPI has no bfloat16. NOLINTNEXTLINE(readability-non-const-parameter): its signature.
extern "C" void add_bfloat16(void* in, void* in_out, int* count, MPI_Datatype* /*type*/) {
  const auto* from = static_cast<const std::uint16_t*>(in);
  auto* to = static_cast<std::uint16_t*>(in_out);
  for (int i = 0; i < *count; ++i) to[i] = narrow(widen(to[i]) + widen(from[i]));
}

class MpiTransfer final : public Transfer {
 public:
  explicit MpiTransfer(MPI_Request request) : request_(request) {}
  void progress() override { is_done(); }
  void wait() override {
    // A sum goes on with each test, so it must spin; but who waits for long waits for a rank that
    // draws pictures, say, and may want this core.
    constexpr std::chrono::seconds kSpin{1};
    constexpr std::chrono::milliseconds kNap{1};
    const auto began = std::chrono::steady_clock::now();
    while (!is_done()) {
      if (std::chrono::steady_clock::now() - began > kSpin) std::this_thread::sleep_for(kNap);
    }
  }

 private:
  bool is_done() {
    int done = 0;
    check(MPI_Test(&request_, &done, MPI_STATUS_IGNORE), "MPI_Test");
    return done != 0;
  }

  MPI_Request request_;
};

class MpiCommunicator final : public Communicator {
 public:
  MpiCommunicator() {
    int provided = 0;
    // Backward passes on a device call from a thread of their own, while this one waits.
    check(MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &provided), "MPI_Init_thread");
    MPI_Comm_set_errhandler(MPI_COMM_WORLD, MPI_ERRORS_RETURN);
    check(MPI_Comm_rank(MPI_COMM_WORLD, &rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(MPI_COMM_WORLD, &size_), "MPI_Comm_size");
    MPI_Comm local = MPI_COMM_NULL;
    check(MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &local),
          "MPI_Comm_split_type");
    check(MPI_Comm_rank(local, &local_rank_), "MPI_Comm_rank");
    check(MPI_Comm_size(local, &local_size_), "MPI_Comm_size");
    MPI_Comm_free(&local);
    MPI_Op_create(&add_bfloat16, /*commute=*/1, &bfloat16_sum_);
  }
  ~MpiCommunicator() override {
    MPI_Op_free(&bfloat16_sum_);
    MPI_Finalize();
  }
  MpiCommunicator(const MpiCommunicator&) = delete;
  MpiCommunicator& operator=(const MpiCommunicator&) = delete;

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int local_rank() const override { return local_rank_; }
  int local_size() const override { return local_size_; }

  std::unique_ptr<Transfer> start_sum(void* data, std::size_t count, Number number) override {
    const bool short_numbers = number == Number::kBfloat16;
    MPI_Datatype wide = number == Number::kFloat64 ? MPI_DOUBLE : MPI_FLOAT;
    MPI_Request request = MPI_REQUEST_NULL;
    check(MPI_Iallreduce(MPI_IN_PLACE, data, count_of(count), short_numbers ? MPI_UINT16_T : wide,
                         short_numbers ? bfloat16_sum_ : MPI_SUM, MPI_COMM_WORLD, &request),
          "MPI_Iallreduce");
    // NOLINTNEXTLINE(clang-analyzer-optin.mpi.MPI-Checker): the transfer waits.
    return std::make_unique<MpiTransfer>(request);
  }

  void broadcast(std::span<std::byte> bytes, int root) override {
    for (; !bytes.empty(); bytes = bytes.subspan(std::min(bytes.size(), kLargestCount))) {
      const std::size_t part = std::min(bytes.size(), kLargestCount);
      check(MPI_Bcast(bytes.data(), count_of(part), MPI_BYTE, root, MPI_COMM_WORLD), "MPI_Bcast");
    }
  }

  std::vector<std::string> gather(const std::string& bytes) override {
    const int mine = count_of(bytes.size());
    std::vector<int> lengths(static_cast<std::size_t>(size_));
    check(MPI_Allgather(&mine, 1, MPI_INT, lengths.data(), 1, MPI_INT, MPI_COMM_WORLD),
          "MPI_Allgather");
    std::vector<int> begins;
    std::size_t total = 0;
    for (const int length : lengths) {
      begins.push_back(count_of(total));
      total += static_cast<std::size_t>(length);
    }
    std::string all(total, '\0');
    count_of(total);
    check(MPI_Allgatherv(bytes.data(), mine, MPI_BYTE, all.data(), lengths.data(), begins.data(),
                         MPI_BYTE, MPI_COMM_WORLD),
          "MPI_Allgatherv");
    std::vector<std::string> parts;
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      parts.push_back(
          all.substr(static_cast<std::size_t>(begins[i]), static_cast<std::size_t>(lengths[i])));
    }
    return parts;
  }

  void abort(int code) override { MPI_Abort(MPI_COMM_WORLD, code); }

 private:
  int rank_ = 0;
  int size_ = 1;
  int local_rank_ = 0;
  int local_size_ = 1;
  MPI_Op bfloat16_sum_ = MPI_OP_NULL;
};

}  // namespace

extern "C" __attribute__((visibility("default"))) Communicator* crescendo_join_mpi() {
  return new MpiCommunicator();
}

}  // namespace crescendo::pipelines
