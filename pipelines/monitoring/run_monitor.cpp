#include "pipelines/monitoring/run_monitor.h"

#include <exception>
#include <span>
#include <string>
#include <vector>

#include "core/atomic_file.h"
#include "core/log.h"
#include "dataloader/decode_image.h"
#include "pipelines/monitoring/picture_strip.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

namespace {

constexpr std::chrono::seconds kPageInterval(30);

/// Keys of metrics.jsonl as TensorBoard groups them, where '/' ends the name of a group.
std::string tag_of(const std::string& key) {
  if (key == "images/s") return "train/images_per_second";
  if (key == "data wait") return "train/data_wait_percent";
  return "train/" + key;
}

}  // namespace

RunMonitor::~RunMonitor() {
  if (!finished_) finish(RunState::kStopped);
}

void RunMonitor::start(std::int64_t begin) {
  page_.emplace(run_, description_, read_history(run_ / "metrics.jsonl"), kPageInterval);
  attempt([&] {
    for (const auto& [step, file] : sample_pictures(run_, begin)) page_->add_picture(step, file);
  });
  if (!tensorboard_) return;
  attempt([&] {
    events_.emplace(run_, begin + 1);
    events_->add_text(begin, "config", "```toml\n" + description_.config + "\n```");
  });
}

void RunMonitor::observe(const Json& line) {
  if (!page_) return;
  page_->observe(line);
  attempt([this] { page_->refresh(); });
  if (events_) attempt([&] { send_to_tensorboard(line); });
}

void RunMonitor::add_picture(std::int64_t step, const fs::path& file) {
  if (page_) page_->add_picture(step, file);
  if (!events_) return;
  attempt([&] {
    const std::string content = read_file(file);
    const auto png = std::as_bytes(std::span(content));
    const dataloader::ImageHeader header = dataloader::read_image_header(png);
    events_->add_image(step, "samples", png, header.width, header.height);
  });
}

void RunMonitor::finish(RunState state) {
  finished_ = true;
  if (page_) attempt([&] { page_->write(state); });
  if (events_) attempt([this] { events_->flush(); });
}

void RunMonitor::attempt(const std::function<void()>& write) {
  try {
    write();
  } catch (const std::exception& failure) {
    log::error("{}", failure.what());
  }
}

void RunMonitor::send_to_tensorboard(const Json& line) {
  if (!line.contains("event")) {
    std::vector<Scalar> scalars;
    for (const auto& [key, value] : step_values(line)) scalars.push_back({tag_of(key), value});
    for (const char* key : {"stage", "epoch"}) {
      if (line.contains(key)) scalars.push_back({tag_of(key), line[key].get<double>()});
    }
    events_->add_scalars(line["step"], scalars);
  } else if (line["event"] == "clusters") {
    std::vector<Scalar> scalars;
    for (const auto& [name, loss] : line["losses"].items()) {
      scalars.push_back({"cluster_loss/" + name, loss});
    }
    events_->add_scalars(line["step"], scalars);
  } else if (line["event"] == "evaluate") {
    std::vector<Scalar> scalars;
    for (const auto& [name, value] : line.items()) {
      if (value.is_number() && name != "step") scalars.push_back({"evaluate/" + name, value});
    }
    events_->add_scalars(line["step"], scalars);
  } else if (line["event"] == "held_out") {
    std::vector<Scalar> scalars;
    for (const char* key : {"loss", "weighted_loss"}) {
      if (line.contains(key)) scalars.push_back({std::string("held_out/") + key, line[key]});
    }
    for (const auto& [name, loss] : line["losses"].items()) {
      scalars.push_back({"held_out_cluster/" + name, loss});
    }
    events_->add_scalars(line["step"], scalars);
  }
}

}  // namespace crescendo::pipelines
