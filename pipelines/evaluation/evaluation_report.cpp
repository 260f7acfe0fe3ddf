#include "pipelines/evaluation/evaluation_report.h"

#include <fmt/format.h>

namespace crescendo::pipelines {

using Json = nlohmann::ordered_json;

namespace {

constexpr std::size_t kShortHash = 10;  // digits, as AUTOMATIC1111's web UI shows models'

Json json_of(const MetricValue& metric) {
  Json json{{"value", metric.value}};
  if (metric.std) json["std"] = *metric.std;
  if (metric.interval) json["interval_95"] = *metric.interval;
  if (!metric.settings.is_null()) json.update(metric.settings);
  return json;
}

Json json_of(const ImageSetOrigin& origin) {
  Json json{{"path", origin.path}, {"sha256", origin.sha256}};
  if (origin.samples > 0) json["samples"] = origin.samples;
  if (origin.skipped > 0) json["skipped"] = origin.skipped;
  if (!origin.drawing.is_null()) json["drawing"] = origin.drawing;
  return json;
}

/// "FID 12.34 [11.9, 12.8]", "KID 0.00123 +- 0.0004"
std::string value_text(const MetricValue& metric) {
  std::string name = metric.name;
  if (name == "fid" || name == "kid" || name == "is" || name == "clip") {
    for (char& letter : name) letter = static_cast<char>(letter - 'a' + 'A');
  }
  std::string text = fmt::format("{} {:.6g}", name, metric.value);
  if (metric.std) text += fmt::format(" +- {:.3g}", *metric.std);
  if (metric.interval) {
    const auto [low, high] = *metric.interval;
    text += fmt::format(" (95 %: {:.4g} to {:.4g})", low, high);
  }
  return text;
}

std::string short_hash(const std::string& sha256) { return sha256.substr(0, kShortHash); }

/// "ddim, 50 steps, guidance 7.5, seed 0"
std::string drawing_text(const Json& drawing) {
  std::string text;
  for (const auto& [key, value] : drawing.items()) {
    if (key == "sha256") continue;
    if (!text.empty()) text += ", ";
    text += fmt::format("{} {}", key, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return text;
}

}  // namespace

Json to_json(const EvaluationReport& report) {
  Json metrics = Json::object();
  for (const MetricValue& metric : report.metrics) metrics[metric.name] = json_of(metric);
  Json json{{"metrics", metrics},
            {"features",
             {{"network", report.features.name},
              {"file", report.features_file},
              {"sha256", report.features.sha256},
              {"resize", report.features.resize},
              {"dimension", report.dimension}}},
            {"images", json_of(report.images)}};
  if (report.reference) json["reference"] = json_of(*report.reference);
  json["warnings"] = report.warnings;
  json["crescendo"] = CRESCENDO_VERSION;
  return json;
}

std::string to_text(const EvaluationReport& report) {
  std::string origin =
      fmt::format("{} images; {} {}, resize {}", report.images.samples, report.features.name,
                  short_hash(report.features.sha256), report.features.resize);
  if (report.images.drawing.is_null()) {
    origin += fmt::format("; images {}", short_hash(report.images.sha256));
  } else {
    const std::string model = report.images.drawing.value("sha256", "");
    origin += fmt::format("; model {}: {}", short_hash(model), drawing_text(report.images.drawing));
  }
  std::string against;
  if (report.reference) {
    against = fmt::format("; reference {}", short_hash(report.reference->sha256));
    if (report.reference->samples > 0) {
      against += fmt::format(" of {} images", report.reference->samples);
    }
  }
  std::string text;
  for (const MetricValue& metric : report.metrics) {
    text += fmt::format("{} ({}{})\n", value_text(metric), origin,
                        metric.name == "is" || metric.name == "clip" ? "" : against);
  }
  return text;
}

}  // namespace crescendo::pipelines
