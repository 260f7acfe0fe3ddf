#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "pipelines/monitoring/html.h"
#include "pipelines/studies/line_chart.h"
#include "pipelines/studies/observation.h"
#include "pipelines/studies/study_page.h"

namespace crescendo::pipelines {

namespace {

double share_of(std::size_t i, std::size_t count) {
  return count > 1 ? static_cast<double>(i) / static_cast<double>(count - 1) : 0;
}

std::string convergence_charts(const std::vector<Convergence>& all) {
  std::vector<Curve> improvements;
  std::vector<Curve> rests;
  std::vector<Curve> losses;
  std::string legend = "<p class=\"legend\">";
  for (std::size_t i = 0; i < all.size(); ++i) {
    const std::string colour = noise_colour(share_of(i, all.size()));
    Curve& improvement = improvements.emplace_back(Curve{colour});
    Curve& rest = rests.emplace_back(Curve{colour});
    Curve& loss = losses.emplace_back(Curve{colour});
    for (const Convergence::Point& point : all[i].points) {
      for (Curve* curve : {&improvement, &rest, &loss}) {
        curve->x.push_back(static_cast<double>(point.step));
      }
      improvement.y.push_back(point.improvement);
      rest.y.push_back(point.improvement < 1 ? 1 - point.improvement : std::nan(""));
      loss.y.push_back(point.loss);
    }
    legend += fmt::format("<span><i class=\"swatch\" style=\"background:{}\"></i>{}</span>", colour,
                          escape_html(all[i].levels));
  }
  return legend + "</p>\n<div class=\"charts\">" +
         line_chart({.title = "improvement, of the final one", .x_label = "steps"}, improvements) +
         line_chart({.title = "what is left of it", .x_label = "steps", .logarithmic = true},
                    rests) +
         line_chart({.title = "held-out loss", .x_label = "steps", .logarithmic = true}, losses) +
         "</div>\n";
}

std::string steps_table(const std::vector<Convergence>& all) {
  std::string html = "<div class=\"wide\"><table><tr><th>noise levels<th>first loss<th>last loss";
  for (const double share : kShares) html += fmt::format("<th>steps to {:.0f}%", 100 * share);
  for (const Convergence& one : all) {
    html += fmt::format("\n<tr><td>{}<td>{:.5g}<td>{:.5g}", escape_html(one.levels),
                        one.points.front().loss, one.points.back().loss);
    for (const double share : kShares) {
      const std::optional<double> step = one.step_at(share);
      html += "<td>" + (step ? fmt::format("{:.0f}", *step) : std::string("never"));
    }
  }
  return html + "</table></div>\n";
}

std::string divergence_chart(const Observation& observation) {
  if (observation.divergences.empty()) {
    return "<p>Told of discrete timesteps alone.</p>\n";
  }
  Curve curve{colour_of(0)};
  for (const Divergence& one : observation.divergences) {
    curve.x.push_back(static_cast<double>(one.timestep));
    curve.y.push_back(one.nats.mean);
    // At least a hundredth of it, so that a logarithmic axis can show the rest.
    curve.low.push_back(std::max(one.nats.mean - 2 * one.nats.standard_error, one.nats.mean / 100));
    curve.high.push_back(one.nats.mean + 2 * one.nats.standard_error);
  }
  return fmt::format(
             "<p>D<sub>KL</sub>(p<sub>t-1</sub> || p<sub>t</sub>) in nats, of the mixture of "
             "normals around {} latents of the data; a Monte Carlo mean over {} draws, and two "
             "standard errors of it on both sides. The error of having these latents in place of "
             "all there could be is not in them; it is largest at the lowest timesteps, where no "
             "other latent is within reach of the noise.</p>\n<div class=\"charts\">",
             observation.points, observation.draws) +
         line_chart({.title = "relative entropy", .x_label = "timestep", .logarithmic = true},
                    {&curve, 1}) +
         "</div>\n";
}

}  // namespace

std::string observation_page(const Observation& observation) {
  return study_page(
      "How hard is each noise level?",
      "<h2>Convergence of a model a cluster</h2>\n<p>Each model was trained on the noise levels of "
      "one cluster alone, for equally many steps from the same weights; the loss is that of these "
      "levels on held-out images. A curve that rises later belongs to levels that are harder to "
      "learn.</p>\n" +
          convergence_charts(observation.convergences) + steps_table(observation.convergences) +
          "<h2>Relative entropy of consecutive marginals</h2>\n" + divergence_chart(observation));
}

}  // namespace crescendo::pipelines
