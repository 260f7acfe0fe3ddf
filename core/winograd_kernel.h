#pragma once

#include <cstdint>
#include <span>

namespace crescendo {

/// Winograd's minimal filtering F(2x2, 3x3) (Lavin and Gray, arXiv 1509.09308): a 3x3 convolution
/// of stride 1 and padding 1 cut into tiles of 2x2 outputs. Each is a function of 4x4 inputs, whose
/// transform has 16 points; at each point the tiles are multiplied with a matrix [in, out] of
/// transformed weights: 16 multiplications for what takes 36.
constexpr std::int64_t kWinogradPoints = 16;
constexpr std::int64_t kWinogradSum = 5;  ///< the point (1, 1)

/// Images [samples, height, width, channels], and their tiles in the order of samples, rows and
/// columns. The last row and column of tiles may reach over the edge.
struct WinogradImages {
  std::int64_t samples = 0;
  std::int64_t height = 0;
  std::int64_t width = 0;
  std::int64_t channels = 0;

  std::int64_t tiles_high() const { return (height + 1) / 2; }
  std::int64_t tiles_wide() const { return (width + 1) / 2; }
  std::int64_t tiles() const { return samples * tiles_high() * tiles_wide(); }
};

struct TileRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;

  std::int64_t count() const { return end - begin; }
};

/// For each of the points a matrix [rows, columns], `step` numbers apart.
struct WinogradMatrices {
  float* data = nullptr;
  std::int64_t step = 0;
  std::int64_t rows = 0;
  std::int64_t columns = 0;

  float* point(std::int64_t number) const { return data + number * step; }
  WinogradMatrices rows_from(std::int64_t begin, std::int64_t count) const {
    return {data + begin * columns, step, count, columns};
  }
};

/// Weights [out, in, 3, 3] of any layout: the steps between neighbours in memory.
struct WinogradWeights {
  float* data = nullptr;
  std::int64_t out_step = 0;
  std::int64_t in_step = 0;
  std::int64_t row_step = 0;
  std::int64_t column_step = 0;
};

/// What is added to the outputs, each or none: a bias of each channel, images of their shape.
struct WinogradAddends {
  const float* bias = nullptr;
  const float* images = nullptr;
};

struct RowRange {
  std::int64_t begin = 0;
  std::int64_t end = 0;
};

/// The parts of such a convolution, in float32. Channels are multiples of kWinogradChannels. What
/// is computed of a tile depends on no other. Written for one instruction set each.
constexpr std::int64_t kWinogradChannels = 16;

struct WinogradKernel {
  /// Rows (channels in) of matrices [in, out].
  void (*transform_weights)(const WinogradWeights& weights, RowRange rows,
                            const WinogradMatrices& to) = nullptr;
  /// Matrices [tiles of the range, channels] from images.
  void (*transform_input)(const WinogradImages& shape, const float* images, TileRange tiles,
                          const WinogradMatrices& to) = nullptr;
  /// to = left right at one point: [rows, depth] [depth, columns].
  void (*multiply)(const WinogradMatrices& left, const WinogradMatrices& right,
                   const WinogradMatrices& to, std::int64_t point) = nullptr;
  /// Images, or some of their channels, from matrices [tiles of the range, these channels].
  void (*transform_output)(const WinogradImages& shape, const WinogradMatrices& from,
                           const WinogradAddends& addends, TileRange tiles,
                           float* images) = nullptr;

  // Backward with respect to the weights.
  /// Matrices [tiles of the range, channels] from gradients of the outputs. At kWinogradSum they
  /// are the sums of each tile's.
  void (*transform_gradient)(const WinogradImages& shape, const float* images, TileRange tiles,
                             const WinogradMatrices& to) = nullptr;
  /// to = transpose(left) right at one point, for some rows: [depth, rows] [depth, columns]; or to
  /// += that, if it `adds`.
  void (*multiply_transposed)(const WinogradMatrices& left, const WinogradMatrices& right,
                              const WinogradMatrices& to, std::int64_t point, RowRange rows,
                              bool adds) = nullptr;
  /// Rows (channels in) of the weights' gradient from matrices [in, out].
  void (*transform_weight_gradient)(const WinogradMatrices& from, RowRange rows,
                                    const WinogradWeights& to) = nullptr;
};

/// Those that this CPU can run, the fastest first; none on CPUs other than x86-64 with AVX2.
std::span<const WinogradKernel* const> winograd_kernels();

}  // namespace crescendo
