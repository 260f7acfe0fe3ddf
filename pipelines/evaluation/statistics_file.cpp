#include "pipelines/evaluation/statistics_file.h"

#include <array>

#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

#include <ATen/Functions.h>

#include "core/error.h"
#include "pipelines/evaluation/npz.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::array<std::string_view, 3> kNames{"mu", "sigma", "provenance"};

void take_provenance(const at::Tensor& bytes, const fs::path& file, StoredStatistics& statistics) {
  try {
    const auto* text = reinterpret_cast<const char*>(bytes.const_data_ptr<std::uint8_t>());
    const Json json = Json::parse(text, text + bytes.numel());
    const Json& features = json.at("features");
    statistics.features = {features.at("name"), features.at("sha256"), features.at("resize")};
    statistics.samples = json.at("samples");
    statistics.images_sha256 = json.at("images_sha256");
  } catch (const std::exception& failure) {
    throw DataError("{}: provenance: expected what Crescendo writes there, found other bytes: {}",
                    file.string(), failure.what());
  }
}

}  // namespace

StoredStatistics read_statistics(const fs::path& file) {
  Arrays arrays = read_npz(file, kNames);
  for (const char* name : {"mu", "sigma"}) {
    if (!arrays.contains(name)) {
      throw DataError("{}: expected arrays mu and sigma, found no {}", file.string(), name);
    }
  }
  StoredStatistics statistics{
      .moments = {arrays["mu"].to(at::kDouble), arrays["sigma"].to(at::kDouble)}, .features = {}};
  const auto& [mean, covariance] = statistics.moments;
  const bool fits = mean.dim() == 1 && covariance.dim() == 2 &&
                    covariance.size(0) == mean.size(0) && covariance.size(1) == mean.size(0);
  if (!fits) {
    throw DataError("{}: expected mu [D] and sigma [D, D], found [{}] and [{}]", file.string(),
                    fmt::join(mean.sizes(), ", "), fmt::join(covariance.sizes(), ", "));
  }
  const bool finite =
      at::isfinite(mean).all().item<bool>() && at::isfinite(covariance).all().item<bool>();
  if (!finite) throw DataError("{}: mu or sigma is not finite", file.string());
  if (arrays.contains("provenance")) take_provenance(arrays["provenance"], file, statistics);
  return statistics;
}

void write_statistics(const fs::path& file, const StoredStatistics& statistics) {
  Arrays arrays{{"mu", statistics.moments.mean}, {"sigma", statistics.moments.covariance}};
  if (statistics.features) {
    const FeatureIdentity& features = *statistics.features;
    std::string text =
        Json{{"features",
              {{"name", features.name}, {"sha256", features.sha256}, {"resize", features.resize}}},
             {"samples", statistics.samples},
             {"images_sha256", statistics.images_sha256}}
            .dump();
    arrays["provenance"] =
        at::from_blob(text.data(), {static_cast<std::int64_t>(text.size())}, at::kByte).clone();
  }
  write_npz(file, arrays);
}

}  // namespace crescendo::pipelines
