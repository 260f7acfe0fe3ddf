#pragma once

#include <optional>
#include <span>
#include <string>
#include <vector>

namespace crescendo::pipelines {

/// A curve, its points in ascending x. `low` and `high`, where they are not empty, bound a band.
struct Curve {
  std::string colour;  ///< of CSS
  std::vector<double> x{};
  std::vector<double> y{};
  std::vector<double> low{};
  std::vector<double> high{};
};

struct ChartOptions {
  std::string title{};
  std::string x_label{};
  bool logarithmic = false;      ///< the y axis, where all values are positive
  std::optional<double> mark{};  ///< a dashed line at this y
  int width = 530;               ///< pixels
  int height = 300;
};

/// A <figure> with an inline SVG that needs no script and no other file. Points that are not finite
/// are left out.
std::string line_chart(const ChartOptions& options, std::span<const Curve> curves);

/// The colour of thing `i`: told apart by the colour-blind (Okabe and Ito), on light and on dark;
/// repeated after eight.
std::string colour_of(std::size_t i);

/// From the least noise (blue) to the most (yellow): share from 0 to 1.
std::string noise_colour(double share);

}  // namespace crescendo::pipelines
