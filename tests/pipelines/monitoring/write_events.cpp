// write_events FOLDER FIRST LAST PNG WIDTH HEIGHT: an event file of steps FIRST to LAST, for
// tests/e2e/tensorboard_test.py.

#include <array>
#include <string>

#include "core/atomic_file.h"
#include "pipelines/monitoring/event_file.h"

int main(int, char** arguments) {
  using crescendo::pipelines::EventFile;
  using crescendo::pipelines::Scalar;
  const std::int64_t first = std::stoll(arguments[2]);
  const std::string png = crescendo::read_file(arguments[4]);
  EventFile file(arguments[1], first);
  file.add_text(0, "config", "seed = 1");
  for (std::int64_t step = first; step <= std::stoll(arguments[3]); ++step) {
    const auto number = static_cast<double>(step);
    file.add_scalars(step,
                     std::array{Scalar{"train/loss", 1 / number},
                                Scalar{"train/lr", 1e-4 * number + static_cast<double>(first)},
                                Scalar{"cluster_loss/050-099", -number}});
    if (step % 5 == 0) {
      file.add_image(step, "samples", std::as_bytes(std::span(png)), std::stoll(arguments[5]),
                     std::stoll(arguments[6]));
    }
  }
}
