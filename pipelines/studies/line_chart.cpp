#include "pipelines/studies/line_chart.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <utility>

#include <fmt/format.h>

#include "pipelines/monitoring/html.h"

namespace crescendo::pipelines {

namespace {

constexpr double kLeft = 58;
constexpr double kRight = 14;
constexpr double kTop = 10;
constexpr double kBottom = 38;

struct Range {
  double low = std::numeric_limits<double>::infinity();
  double high = -std::numeric_limits<double>::infinity();

  void include(double value) {
    if (!std::isfinite(value)) return;
    low = std::min(low, value);
    high = std::max(high, value);
  }
  void include(std::span<const double> values) {
    for (const double value : values) include(value);
  }
};

/// From a value to its pixel.
class Axis {
 public:
  Axis(Range range, bool logarithmic, double begin, double end)
      : range_(range), logarithmic_(logarithmic), begin_(begin), end_(end) {}

  double operator()(double value) const {
    const double low = scaled(range_.low);
    return begin_ + (scaled(value) - low) / (scaled(range_.high) - low) * (end_ - begin_);
  }

  std::vector<double> ticks(int count) const {
    std::vector<double> found;
    if (logarithmic_) {
      const double decades = std::log10(range_.high / range_.low);
      const std::vector<double> digits = decades > 3     ? std::vector<double>{1}
                                         : decades > 0.9 ? std::vector<double>{1, 2, 5}
                                                         : std::vector<double>{1, 1.5, 2, 3, 5, 7};
      for (double power = std::floor(std::log10(range_.low)); power <= std::log10(range_.high);
           ++power) {
        for (const double digit : digits) {
          const double value = digit * std::pow(10, power);
          if (value >= range_.low && value <= range_.high) found.push_back(value);
        }
      }
      if (found.size() > 1) return found;
      found.clear();
    }
    const double rough = (range_.high - range_.low) / count;
    const double power = std::pow(10, std::floor(std::log10(rough)));
    double step = 10 * power;
    for (const double digit : {5.0, 2.0, 1.0}) {
      if (digit * power >= rough) step = digit * power;
    }
    for (double i = std::ceil(range_.low / step); i * step <= range_.high * (1 + 1e-12); ++i) {
      found.push_back(i * step);
    }
    return found;
  }

 private:
  double scaled(double value) const { return logarithmic_ ? std::log(value) : value; }

  Range range_;
  bool logarithmic_;
  double begin_;
  double end_;
};

/// Widened, so that no curve lies on the frame and no range is empty.
Range padded(Range range, bool logarithmic) {
  if (range.low > range.high) return {0, 1};
  if (logarithmic) return {range.low / 1.05, range.high * 1.05};
  const double margin = range.high > range.low ? 0.05 * (range.high - range.low)
                                               : std::max(0.1 * std::abs(range.high), 1e-12);
  return {range.low - margin, range.high + margin};
}

std::string short_number(double value) {
  if (value == 0) return "0";  // and not "-0"
  return std::abs(value) >= 1e4 ? fmt::format("{:.0f}k", value / 1000)
                                : fmt::format("{:.4g}", value);
}

/// "M1.0 2.0L3.0 4.0", broken where a value is not finite.
std::string path(const Axis& x, const Axis& y, std::span<const double> xs,
                 std::span<const double> ys) {
  std::string text;
  char next = 'M';
  for (std::size_t i = 0; i < xs.size(); ++i) {
    if (!std::isfinite(ys[i])) {
      next = 'M';
      continue;
    }
    text += fmt::format("{}{:.1f} {:.1f}", std::exchange(next, 'L'), x(xs[i]), y(ys[i]));
  }
  return text;
}

std::string band(const Axis& x, const Axis& y, const Curve& curve) {
  if (curve.x.size() < 2 || curve.low.empty()) return "";
  std::vector<double> xs = curve.x;
  std::vector<double> ys = curve.high;
  xs.insert(xs.end(), curve.x.rbegin(), curve.x.rend());
  ys.insert(ys.end(), curve.low.rbegin(), curve.low.rend());
  return fmt::format("<path class=\"band\" fill=\"{}\" d=\"{}Z\"/>", curve.colour,
                     path(x, y, xs, ys));
}

std::string grid(const ChartOptions& o, const Axis& x, const Axis& y) {
  std::string svg;
  const double bottom = o.height - kBottom;
  for (const double value : y.ticks(4)) {
    svg += fmt::format(
        "<line class=\"grid\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>"
        "<text x=\"{}\" y=\"{:.1f}\" text-anchor=\"end\">{}</text>",
        kLeft, o.width - kRight, y(value), y(value), kLeft - 6, y(value) + 4, short_number(value));
  }
  for (const double value : x.ticks(o.width > 450 ? 6 : 3)) {
    svg += fmt::format("<text x=\"{:.1f}\" y=\"{}\" text-anchor=\"middle\">{}</text>", x(value),
                       bottom + 16, short_number(value));
  }
  svg += fmt::format("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>", o.width - kRight,
                     o.height - 6, escape_html(o.x_label));
  return svg;
}

}  // namespace

std::string line_chart(const ChartOptions& options, std::span<const Curve> curves) {
  Range x_range;
  Range y_range;
  for (const Curve& curve : curves) {
    x_range.include(curve.x);
    for (const auto* values : {&curve.y, &curve.low, &curve.high}) y_range.include(*values);
  }
  if (options.mark) y_range.include(*options.mark);
  const bool logarithmic = options.logarithmic && y_range.low > 0 && std::isfinite(y_range.low);
  if (!(x_range.low < x_range.high)) x_range = padded(x_range, false);
  const Axis x(x_range, false, kLeft, options.width - kRight);
  const Axis y(padded(y_range, logarithmic), logarithmic, options.height - kBottom, kTop);
  std::string svg = fmt::format(
      "<figure><figcaption>{}</figcaption><svg width=\"{}\" height=\"{}\" viewBox=\"0 0 {} {}\" "
      "role=\"img\" aria-label=\"{}\">",
      escape_html(options.title), options.width, options.height, options.width, options.height,
      escape_html(options.title));
  svg += grid(options, x, y);
  if (options.mark) {
    svg += fmt::format("<line class=\"mark\" x1=\"{}\" x2=\"{}\" y1=\"{:.1f}\" y2=\"{:.1f}\"/>",
                       kLeft, options.width - kRight, y(*options.mark), y(*options.mark));
  }
  for (const Curve& curve : curves) svg += band(x, y, curve);
  for (const Curve& curve : curves) {
    const std::string line = path(x, y, curve.x, curve.y);
    if (line.empty()) continue;
    svg += fmt::format("<path class=\"curve\" stroke=\"{}\" d=\"{}{}\"/>", curve.colour, line,
                       curve.x.size() == 1 ? "h2" : "");
  }
  return svg + "</svg></figure>\n";
}

std::string colour_of(std::size_t i) {
  constexpr std::array<const char*, 8> kColours = {"#0072b2", "#d55e00", "#009e73", "#cc79a7",
                                                   "#e69f00", "#56b4e9", "#8c6bb1", "#7f7f7f"};
  return kColours[i % kColours.size()];
}

std::string noise_colour(double share) {
  constexpr std::array<std::array<double, 3>, 5> kStops = {
      {{48, 94, 168}, {92, 112, 136}, {130, 132, 120}, {176, 158, 100}, {222, 188, 70}}};
  const double at = std::clamp(share, 0.0, 1.0) * (kStops.size() - 1);
  const auto i = std::min(static_cast<std::size_t>(at), kStops.size() - 2);
  const auto mixed = [&](std::size_t k) {
    return kStops[i][k] + (at - static_cast<double>(i)) * (kStops[i + 1][k] - kStops[i][k]);
  };
  return fmt::format("rgb({:.0f},{:.0f},{:.0f})", mixed(0), mixed(1), mixed(2));
}

}  // namespace crescendo::pipelines
