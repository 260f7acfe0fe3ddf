#include "pipelines/compare.h"

#include <utility>

#include "core/atomic_file.h"
#include "pipelines/studies/comparison.h"
#include "pipelines/studies/comparison_page.h"

namespace crescendo::pipelines {

std::string compare(const CompareRequest& request) {
  std::vector<RecordedRun> runs;
  for (const std::filesystem::path& path : request.runs) runs.push_back(read_run(path));
  const Comparison comparison = compare_runs(std::move(runs));
  if (!request.page.empty()) write_file_atomically(request.page, comparison_page(comparison));
  if (!request.json.empty()) {
    write_file_atomically(request.json, to_json(comparison).dump(2) + "\n");
  }
  return to_text(comparison);
}

}  // namespace crescendo::pipelines
