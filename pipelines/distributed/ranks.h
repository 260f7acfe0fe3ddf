#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "pipelines/distributed/communicator.h"

namespace crescendo::pipelines {

/// Does `job` as one of the ranks that a launcher started, or alone where none did; MPI is then not
/// touched. Ranks other than 0 log warnings and errors only, with their number. What the job
/// throws on one of several ranks is logged there and ends all of them, with the exit code of its
/// kind, within seconds; alone it comes out here. Throws UserError where several ranks are wanted
/// and MPI is missing.
void run_on_ranks(const std::function<void(Communicator&)>& job);

/// Something that must be the same on all ranks: what it is called, and its value.
using Premise = std::pair<std::string, std::string>;

/// Throws UserError, on all ranks, that names the first premise that is another on some rank.
void require_same(Communicator& ranks, const std::vector<Premise>& premises);

}  // namespace crescendo::pipelines
