#include "pipelines/training/posthoc_snapshots.h"

#include <algorithm>
#include <stdexcept>
#include <tuple>

#include <ATen/Functions.h>

#include "core/error.h"
#include "core/safetensors.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

namespace {

fs::path folder_of(const fs::path& run) { return run / "posthoc_ema"; }

PosthocSnapshot open(const fs::path& path) {
  const std::map<std::string, std::string> metadata = SafetensorsFile(path).header().metadata;
  try {
    return {.path = path,
            .step = std::stoll(metadata.at("step")),
            .profile = {.gamma = power_of(std::stod(metadata.at("sigma_rel"))),
                        .updates = std::stod(metadata.at("updates"))}};
  } catch (const std::logic_error&) {
    throw DataError(
        "{}: expected a snapshot of train.posthoc_ema, with step, updates and sigma_rel in its "
        "metadata",
        path.string());
  }
}

}  // namespace

void write_posthoc_snapshots(const fs::path& run, std::int64_t step, std::int64_t updates,
                             const std::map<double, TensorMap>& averages) {
  if (updates == 0) return;  // there is nothing to average yet
  for (const auto& [sigma_rel, tensors] : averages) {
    save_tensors(folder_of(run) / fmt::format("step-{:08}-{}.safetensors", step, sigma_rel),
                 tensors,
                 {{"format", "pt"},
                  {"step", std::to_string(step)},
                  {"updates", std::to_string(updates)},
                  {"sigma_rel", fmt::format("{}", sigma_rel)}});
  }
}

std::vector<PosthocSnapshot> list_posthoc_snapshots(const fs::path& run) {
  std::vector<PosthocSnapshot> found;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(folder_of(run), error)) {
    if (entry.path().extension() == ".safetensors") found.push_back(open(entry.path()));
  }
  std::ranges::sort(found, {}, [](const PosthocSnapshot& one) {
    return std::tuple(one.step, one.profile.gamma);
  });
  return found;
}

void forget_posthoc_snapshots_after(const fs::path& run, std::int64_t step) {
  for (const PosthocSnapshot& snapshot : list_posthoc_snapshots(run)) {
    if (snapshot.step > step) fs::remove(snapshot.path);
  }
}

TensorMap add_up(const std::vector<PosthocSnapshot>& snapshots,
                 const std::vector<double>& factors) {
  TensorMap sums;
  for (std::size_t i = 0; i < snapshots.size(); ++i) {
    const TensorMap tensors = load_tensors(snapshots[i].path);
    for (const auto& [name, tensor] : tensors) {
      // float64, since the factors are large and of both signs.
      const at::Tensor part = tensor.to(at::kDouble) * factors[i];
      if (i == 0) {
        sums[name] = part;
      } else if (sums.contains(name) && sums[name].sizes() == part.sizes()) {
        sums[name] += part;
      } else {
        throw DataError("{}: tensor '{}'; expected the tensors of {}", snapshots[i].path.string(),
                        name, snapshots[0].path.string());
      }
    }
    if (tensors.size() != sums.size()) {
      throw DataError("{}: expected {} tensors, as in {}, found {}", snapshots[i].path.string(),
                      sums.size(), snapshots[0].path.string(), tensors.size());
    }
  }
  return sums;
}

}  // namespace crescendo::pipelines
