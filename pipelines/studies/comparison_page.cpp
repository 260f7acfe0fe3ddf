#include "pipelines/studies/comparison_page.h"

#include <algorithm>
#include <functional>
#include <utility>

#include <fmt/format.h>

#include "core/progress.h"
#include "pipelines/monitoring/html.h"
#include "pipelines/monitoring/picture_strip.h"
#include "pipelines/studies/line_chart.h"
#include "pipelines/studies/study_page.h"

namespace crescendo::pipelines {

namespace {

std::string swatch(std::size_t arm) {
  return fmt::format("<i class=\"swatch\" style=\"background:{}\"></i>", colour_of(arm));
}

std::string number(const Spread& spread, std::size_t runs) {
  return runs > 1 ? fmt::format("{:.5g} ± {:.2g}", spread.mean, spread.deviation)
                  : fmt::format("{:.5g}", spread.mean);
}

std::string arms_table(const Comparison& comparison) {
  std::string html = fmt::format(
      "<div class=\"wide\"><table><tr><th>arm<th class=\"text\">runs (seed)<th>held-out loss<br>at "
      "step {}<th>steps to<br>{:.5g}<th>time to<br>{:.5g}\n",
      with_thousands(comparison.common_step), comparison.target, comparison.target);
  for (std::size_t i = 0; i < comparison.arms.size(); ++i) {
    const Arm& arm = comparison.arms[i];
    std::string runs;
    for (const RecordedRun& run : arm.runs) {
      runs += fmt::format("{} ({})<br>", escape_html(run.path.string()), run.seed);
    }
    const Reaching& reaching = arm.reaching;
    const bool reached = reaching.runs > 0;
    const std::string some = reached && reaching.runs < arm.runs.size()
                                 ? fmt::format("<br>{} of {} runs", reaching.runs, arm.runs.size())
                                 : "";
    html += fmt::format(
        "<tr><td>{}{}{}<td class=\"text\">{}<td>{}<td>{}{}<td>{}\n", swatch(i),
        escape_html(arm.name), i == comparison.baseline ? " (compared with)" : "", runs,
        number(comparison.at_common_step(arm).loss, arm.runs.size()),
        reached ? with_thousands(static_cast<std::int64_t>(reaching.steps.mean)) : "not reached",
        some, reached ? format_duration(reaching.seconds.mean) : "not reached");
  }
  return html + "</table></div>\n";
}

std::string differences_table(const Comparison& comparison) {
  if (comparison.arms[0].values.empty()) return "<p>There is one arm: nothing differs.</p>\n";
  std::string html = "<div class=\"wide\"><table><tr><th>key";
  for (const Arm& arm : comparison.arms) html += "<th>" + escape_html(arm.name);
  for (const auto& [key, unused] : comparison.arms[0].values) {
    html += "\n<tr><td>" + escape_html(key);
    for (const Arm& arm : comparison.arms) html += "<td>" + escape_html(arm.values.at(key));
  }
  return html + "</table></div>\n";
}

/// A row a name, a column an arm, of the values that `values_of` takes from an arm.
std::string values_table(
    const Comparison& comparison, const char* what,
    const std::function<const std::map<std::string, Spread>&(const Arm&)>& values_of) {
  std::string html = fmt::format("<div class=\"wide\"><table><tr><th>{}", what);
  for (const Arm& arm : comparison.arms) html += "<th>" + escape_html(arm.name);
  for (const auto& [name, unused] : values_of(comparison.arms[0])) {
    html += "\n<tr><td>" + escape_html(name);
    for (const Arm& arm : comparison.arms) {
      html += "<td>" + number(values_of(arm).at(name), arm.runs.size());
    }
  }
  return html + "</table></div>\n";
}

std::string clusters_table(const Comparison& comparison) {
  return fmt::format("<h2>By noise level, at step {}</h2>\n",
                     with_thousands(comparison.common_step)) +
         values_table(
             comparison, "noise level", [&](const Arm& arm) -> const auto& {
               return comparison.at_common_step(arm).clusters;
             });
}

std::string evaluation_table(const Comparison& comparison) {
  if (comparison.evaluated_step == 0) return "";
  return fmt::format("<h2>Evaluated at step {}</h2>\n", with_thousands(comparison.evaluated_step)) +
         values_table(
             comparison, "metric", [](const Arm& arm) -> const auto& { return arm.evaluation; });
}

/// A curve an arm, of what `loss_of` takes from its losses.
std::string chart(const Comparison& comparison, ChartOptions options, bool over_time,
                  const std::function<Spread(const ArmLoss&)>& loss_of) {
  std::vector<Curve> curves;
  for (std::size_t i = 0; i < comparison.arms.size(); ++i) {
    const Arm& arm = comparison.arms[i];
    Curve& curve = curves.emplace_back(Curve{colour_of(i)});
    for (const ArmLoss& loss : arm.losses) {
      const Spread spread = loss_of(loss);
      curve.x.push_back(over_time ? loss.seconds.mean / 60 : static_cast<double>(loss.step));
      curve.y.push_back(spread.mean);
      if (arm.runs.size() == 1) continue;
      curve.low.push_back(spread.mean - spread.deviation);
      curve.high.push_back(spread.mean + spread.deviation);
    }
  }
  options.x_label = over_time ? "minutes of training" : "steps";
  options.logarithmic = true;
  return line_chart(options, curves);
}

std::string charts(const Comparison& comparison) {
  const auto all = [](const ArmLoss& loss) { return loss.loss; };
  std::string html = "<h2>Held-out loss</h2><div class=\"charts\">";
  html += chart(comparison, {.title = "over steps", .mark = comparison.target}, false, all);
  html += chart(comparison, {.title = "over time", .mark = comparison.target}, true, all);
  html += "</div>\n<h2>By noise level, over steps</h2><div class=\"charts\">";
  for (const auto& [name, unused] : comparison.at_common_step(comparison.arms[0]).clusters) {
    html += chart(comparison, {.title = name, .width = 258, .height = 180}, false,
                  [&name = name](const ArmLoss& loss) { return loss.clusters.at(name); });
  }
  return html + "</div>\n";
}

/// Steps at which the first runs of all arms have samples, a few that lie evenly.
std::vector<PictureStrip> samples_at_equal_steps(const Comparison& comparison) {
  constexpr std::size_t kMost = 6;
  constexpr std::int64_t kSide = 320;
  std::vector<std::vector<std::pair<std::int64_t, std::filesystem::path>>> all;
  for (const Arm& arm : comparison.arms) {
    all.push_back(sample_pictures(arm.runs[0].path, arm.runs[0].history.step()));
  }
  std::vector<PictureStrip> strips(all.size(), PictureStrip(kMost));
  for (const auto& [step, unused] : all[0]) {
    std::vector<std::filesystem::path> files;
    for (const auto& pictures : all) {
      const auto found = std::ranges::find(pictures, step, [](const auto& p) { return p.first; });
      if (found != pictures.end()) files.push_back(found->second);
    }
    if (files.size() < all.size()) continue;
    for (std::size_t i = 0; i < files.size(); ++i) strips[i].add(step, files[i]);
  }
  for (PictureStrip& strip : strips) strip.encode(kSide);
  return strips;
}

std::string samples_table(const Comparison& comparison) {
  const std::vector<PictureStrip> strips = samples_at_equal_steps(comparison);
  if (strips[0].pictures().empty()) return "";
  std::string html =
      "<h2>Samples of each arm's first run</h2><div class=\"wide\"><table><tr><th>arm";
  for (const auto& picture : strips[0].pictures()) {
    html += "<th>step " + with_thousands(picture.step);
  }
  for (std::size_t i = 0; i < strips.size(); ++i) {
    html += "\n<tr><td>" + swatch(i) + escape_html(comparison.arms[i].name);
    for (const auto& picture : strips[i].pictures()) {
      html += fmt::format(
          "<td><img alt=\"samples after step {}\" width=\"{}\" height=\"{}\" "
          "src=\"data:image/jpeg;base64,{}\">",
          picture.step, picture.width, picture.height, picture.jpeg);
    }
  }
  return html + "</table></div>\n";
}

std::string legend(const Comparison& comparison) {
  std::string html = "<p class=\"legend\">";
  for (std::size_t i = 0; i < comparison.arms.size(); ++i) {
    html += "<span>" + swatch(i) + escape_html(comparison.arms[i].name) + "</span>";
  }
  return html + "</p>\n";
}

}  // namespace

std::string comparison_page(const Comparison& comparison) {
  const std::string body =
      "<p>The unweighted loss on images, noise and noise levels that are held out and the same for "
      "every run. Numbers and bands are mean ± standard deviation over the runs of an arm. Times "
      "are of training steps alone.</p>\n" +
      arms_table(comparison) + "<h2>What differs</h2>\n" + differences_table(comparison) +
      legend(comparison) + charts(comparison) + clusters_table(comparison) +
      evaluation_table(comparison) + samples_table(comparison);
  return study_page("Comparison of runs", body);
}

}  // namespace crescendo::pipelines
