#include "pipelines/monitoring/run_page.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/atomic_file.h"
#include "core/progress.h"
#include "pipelines/monitoring/html.h"

namespace crescendo::pipelines {

namespace fs = std::filesystem;

extern const std::string_view kRunPageTemplate;  // run_page.html

namespace {

using Json = nlohmann::ordered_json;

constexpr std::size_t kPictures = 16;
constexpr std::int64_t kPictureSide = 640;

/// JSON for a <script> element, which ends at the first "</script" whatever surrounds it.
std::string escape_script(const Json& data) {
  std::string escaped;
  for (const char c : data.dump(-1, ' ', false, Json::error_handler_t::replace)) {
    if (c == '<') {
      escaped += "\\u003c";
    } else {
      escaped += c;
    }
  }
  return escaped;
}

/// Five digits: a page has tens of thousands of numbers.
double rounded(double value) {
  if (value == 0) return 0;
  const double scale = std::pow(10, 4 - std::floor(std::log10(std::abs(value))));
  return std::isfinite(scale) ? std::round(value * scale) / scale : value;
}

Json curve(const DecimatedSeries& series) {
  Json step = Json::array();
  Json low = Json::array();
  Json high = Json::array();
  Json mean = Json::array();
  for (const DecimatedSeries::Point& point : series.points()) {
    step.push_back(point.last_step);
    low.push_back(rounded(point.min));
    high.push_back(rounded(point.max));
    mean.push_back(rounded(point.mean()));
  }
  return {{"step", step}, {"low", low}, {"high", high}, {"mean", mean}};
}

Json held_out_curves(const std::vector<HeldOutLoss>& losses) {
  Json step = Json::array();
  Json line = Json::array();
  std::map<std::string, Json> clusters;
  for (const HeldOutLoss& one : losses) {
    step.push_back(one.step);
    line.push_back(rounded(one.loss));
    for (const auto& [name, loss] : one.clusters) {
      Json& curve = clusters[name];
      curve["name"] = name;
      curve["step"].push_back(one.step);
      curve["line"].push_back(rounded(loss));
    }
  }
  Json data = {{"step", step}, {"line", line}, {"clusters", Json::array()}};
  for (const auto& [name, curve] : clusters) data["clusters"].push_back(curve);
  return data;
}

std::string state_name(RunState state) {
  switch (state) {
    case RunState::kRunning:
      return "running";
    case RunState::kFinished:
      return "finished";
    case RunState::kStopped:
      return "stopped";
  }
  return "";
}

Json page_data(const RunHistory& history, const RunDescription& description, RunState state,
               std::chrono::seconds interval) {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  Json data = {{"state", state_name(state)},
               {"written", std::chrono::duration_cast<std::chrono::seconds>(now).count()},
               {"interval", interval.count()},
               {"steps", description.steps},
               {"step", history.step()},
               {"stages", Json::array()},
               {"series", Json::object()},
               {"clusters", Json::array()},
               {"held_out", held_out_curves(history.held_out())}};
  for (const StageStart& start : history.stages()) {
    data["stages"].push_back(
        {start.step, fmt::format("{}/{}", start.stage, std::max(description.stages, start.stage))});
  }
  for (const auto& [key, series] : history.series()) data["series"][key] = curve(series);
  for (const auto& [name, series] : history.clusters()) {
    data["clusters"].push_back(curve(series));
    data["clusters"].back()["name"] = name;
  }
  return data;
}

std::string tile(std::string_view name, const std::string& value, std::string_view rest = "") {
  return fmt::format("<div><dt>{}</dt><dd>{}<small>{}</small></dd></div>\n", escape_html(name),
                     escape_html(value), escape_html(rest));
}

std::string tiles(const RunHistory& history, const RunDescription& description, RunState state) {
  std::string html =
      tile("step", with_thousands(history.step()), " of " + with_thousands(description.steps));
  const std::int64_t left = std::max<std::int64_t>(0, description.steps - history.step());
  html += tile("time", format_duration(history.seconds()));
  if (state == RunState::kRunning && history.step() > 0) {
    const double seconds_a_step = history.seconds() / static_cast<double>(history.step());
    html += tile("left", format_duration(seconds_a_step * static_cast<double>(left)));
  }
  if (description.stages > 1) {
    html += tile("stage", fmt::format("{}", history.stage()),
                 fmt::format(" of {}", description.stages));
  }
  const auto smoothed = [&](const char* key, std::string_view name, auto&& text,
                            std::string_view unit = "") {
    if (const DecimatedSeries* series = history.find(key)) {
      html += tile(name, text(series->smoothed()), unit);
    }
  };
  const auto four = [](double value) { return fmt::format("{:.4f}", value); };
  smoothed("loss", "loss", four);
  if (!history.held_out().empty()) {
    html += tile("held-out loss", four(history.held_out().back().loss));
  }
  smoothed(
      "images/s", "speed", [](double v) { return fmt::format("{:.{}f}", v, v < 100 ? 1 : 0); },
      " images/s");
  smoothed(
      "data wait", "waiting for data", [](double v) { return fmt::format("{:.0f}", v); }, "%");
  if (const DecimatedSeries* memory = history.find("memory")) {
    html += tile("memory", fmt::format("{:.1f}", memory->last() / 1e9), " GB");
  }
  for (const auto& [name, value] : history.results())
    html += tile(name, fmt::format("{:.5g}", value));
  return html;
}

std::string stage_table(const RunHistory& history) {
  if (history.stages().empty()) return "";
  std::string rows;
  std::int64_t begin = 0;
  for (const StageStart& next : history.stages()) {
    rows += fmt::format("<tr><td>{}<td>{} – {}<td>{}<td>{:.4g}<td>{}\n", next.stage - 1,
                        with_thousands(begin + 1), with_thousands(next.step),
                        with_thousands(next.steps_before), next.best_loss_before,
                        escape_html(next.ended_by));
    begin = next.step;
  }
  rows += fmt::format("<tr><td>{}<td>{} –<td>{}<td><td>\n", history.stage(),
                      with_thousands(begin + 1), with_thousands(history.step() - begin));
  return "<details><summary>Stages</summary><table><thead><tr><th>stage<th>steps<th>count<th>best "
         "loss<th>ended by</thead><tbody>\n" +
         rows + "</tbody></table></details>\n";
}

std::string figures(const PictureStrip& strip, const fs::path& folder) {
  std::string html;
  for (const PictureStrip::Picture& picture : strip.pictures()) {
    const std::string link = picture.file.lexically_relative(folder).generic_string();
    html += fmt::format(
        "<figure><a href=\"{}\"><img alt=\"samples after step {}\" width=\"{}\" height=\"{}\" "
        "src=\"data:image/jpeg;base64,{}\"></a><figcaption>step {}</figcaption></figure>\n",
        escape_html(link), picture.step, picture.width, picture.height, picture.jpeg,
        with_thousands(picture.step));
  }
  return html;
}

/// Replaces each {{name}} of the template; what is put in is not looked at again.
std::string fill(std::string_view page,
                 std::span<const std::pair<std::string_view, std::string>> values) {
  std::string filled;
  while (true) {
    const std::size_t begin = page.find("{{");
    filled += page.substr(0, begin);
    if (begin == std::string_view::npos) return filled;
    const std::size_t end = page.find("}}", begin);
    const std::string_view name = page.substr(begin + 2, end - begin - 2);
    filled += std::ranges::find(values, name, [](const auto& v) { return v.first; })->second;
    page.remove_prefix(end + 2);
  }
}

}  // namespace

RunPage::RunPage(fs::path folder, RunDescription description, RunHistory history,
                 std::chrono::seconds interval)
    : folder_(std::move(folder)),
      description_(std::move(description)),
      history_(std::move(history)),
      pictures_(kPictures),
      interval_(interval),
      written_(std::chrono::steady_clock::now() - interval) {}

void RunPage::add_picture(std::int64_t step, const fs::path& file) { pictures_.add(step, file); }

void RunPage::refresh() {
  if (std::chrono::steady_clock::now() - written_ >= interval_) write(RunState::kRunning);
}

void RunPage::write(RunState state) {
  written_ = std::chrono::steady_clock::now();  // of the attempt, so that failures are as rare
  pictures_.encode(kPictureSide);
  const double share = description_.steps > 0 ? 100.0 * static_cast<double>(history_.step()) /
                                                    static_cast<double>(description_.steps)
                                              : 0;
  const std::array<std::pair<std::string_view, std::string>, 10> values = {{
      {"name", escape_html(fs::absolute(folder_).lexically_normal().filename().string())},
      {"command", escape_html(description_.command)},
      {"what", escape_html(description_.what)},
      {"state", state_name(state)},
      {"share", fmt::format("{:.1f}", std::min(share, 100.0))},
      {"tiles", tiles(history_, description_, state)},
      {"stages", stage_table(history_)},
      {"figures", figures(pictures_, folder_)},
      {"config", escape_html(description_.config)},
      {"data", escape_script(page_data(history_, description_, state, interval_))},
  }};
  write_file_atomically(folder_ / "index.html", fill(kRunPageTemplate, values));
}

}  // namespace crescendo::pipelines
