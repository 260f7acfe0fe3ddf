#include "pipelines/distributed/ranks.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <exception>
#include <filesystem>
#include <memory>
#include <optional>
#include <sstream>
#include <string_view>
#include <thread>

#include <dlfcn.h>

#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "pipelines/distributed/launcher.h"

namespace crescendo::pipelines {

namespace {

namespace fs = std::filesystem;

constexpr int kOurFault = 1;  ///< exit codes, as those of one process
constexpr int kUsersFault = 2;

/// Rank 0 has most errors, too, and speaks first; its abort ends the others before they repeat it.
constexpr std::chrono::seconds kLeaderSpeaksFirst{2};

class OneProcess final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 1; }
  std::unique_ptr<Transfer> start_sum(void* /*data*/, std::size_t /*count*/,
                                      Number /*number*/) override {
    struct Done final : Transfer {
      void progress() override {}
      void wait() override {}
    };
    return std::make_unique<Done>();
  }
  void broadcast(std::span<std::byte> /*bytes*/, int /*root*/) override {}
  std::vector<std::string> gather(const std::string& bytes) override { return {bytes}; }
  void abort(int code) override { std::_Exit(code); }
};

/// Beside the binary, above the tests' folder, or where it is installed.
fs::path find_plugin() {
  std::error_code error;
  const fs::path folder = fs::read_symlink("/proc/self/exe", error).parent_path();
  for (const char* place : {".", "..", CRESCENDO_PLUGIN_FOLDER}) {
    fs::path file = folder / place / "libcrescendo_mpi.so";
    if (fs::exists(file, error)) return file;
  }
  return {};
}

std::unique_ptr<Communicator> join_mpi(const Launcher& launcher) {
  const fs::path file = find_plugin();
  if (file.empty()) {
    throw UserError(
        "{}: started {} ranks, but this build has no MPI; expected libcrescendo_mpi.so beside the "
        "binary. Install libopenmpi-dev and build again, or start one process",
        launcher.name, launcher.size);
  }
  // Global, as Open MPI's own plugins look for its symbols there.
  void* library = ::dlopen(file.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    throw UserError("{}: started {} ranks, but MPI cannot be loaded: {}. Install openmpi-bin",
                    launcher.name, launcher.size, ::dlerror());
  }
  using Join = Communicator* (*)();
  const auto join = reinterpret_cast<Join>(::dlsym(library, "crescendo_join_mpi"));
  if (join == nullptr) throw UserError("{}: is of another version", file.string());
  std::unique_ptr<Communicator> ranks(join());
  if (ranks->size() != launcher.size) {
    throw UserError(
        "{}: started {} ranks, but MPI knows of {}; expected a launcher that speaks with this MPI, "
        "as `srun --mpi=pmix` or Open MPI's own mpirun",
        launcher.name, launcher.size, ranks->size());
  }
  return ranks;
}

void log_as(const Communicator& ranks) {
  if (ranks.leads()) return;
  spdlog::default_logger()->set_level(spdlog::level::warn);
  spdlog::set_pattern(fmt::format("%^rank {}: %v%$", ranks.rank()));
  Progress::silence();
}

/// Never returns.
void end_all(Communicator& ranks, const char* kind, std::string_view what, int code) {
  if (!ranks.leads()) std::this_thread::sleep_for(kLeaderSpeaksFirst);
  log::error("{}: {}", kind, what);
  spdlog::default_logger()->flush();
  ranks.abort(code);
}

/// "train_batch_size = 4, here 2": the first line in which they differ.
std::string first_difference(const std::string& ours, const std::string& theirs) {
  std::istringstream one(ours);
  std::istringstream other(theirs);
  std::string mine;
  std::string its;
  for (;;) {
    const bool left = !std::getline(one, mine).fail();
    const bool right = !std::getline(other, its).fail();
    if (!left) mine = "nothing more";
    if (!right) its = "nothing more";
    if (mine != its || (!left && !right))
      return fmt::format("expected '{}', found '{}'", mine, its);
  }
}

}  // namespace

Communicator& alone() {
  static OneProcess one;
  return one;
}

void run_on_ranks(const std::function<void(Communicator&)>& job) {
  const std::optional<Launcher> launcher = find_launcher(&std::getenv);
  if (!launcher) return job(alone());
  const std::unique_ptr<Communicator> ranks = join_mpi(*launcher);
  log_as(*ranks);
  try {
    job(*ranks);
  } catch (const UserError& failure) {
    end_all(*ranks, "error", failure.what(), kUsersFault);
  } catch (const std::exception& failure) {
    const std::string_view text = failure.what();
    end_all(*ranks, "internal error", text.substr(0, text.find("\nException raised from")),
            kOurFault);
  }
}

void require_same(Communicator& ranks, const std::vector<Premise>& premises) {
  for (const auto& [name, value] : premises) {
    const auto hashes = ranks.gather(std::to_string(std::hash<std::string>()(value)));
    const auto other =
        std::ranges::find_if(hashes, [&](const auto& hash) { return hash != hashes[0]; });
    if (other == hashes.end()) continue;
    const auto rank = static_cast<int>(other - hashes.begin());
    const std::string expected = ranks.agree_on(value);
    throw UserError("rank {}: has another {} than rank 0: {}; start all ranks alike", rank, name,
                    first_difference(expected, ranks.agree_on(value, rank)));
  }
}

}  // namespace crescendo::pipelines
