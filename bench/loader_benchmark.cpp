// Speed of the loader as one JSON object, for bench/peers to set beside Python's: images a second
// of the whole, and microseconds an image of each of its steps on one thread.
//
//     bench_loader SHARDS... [--resolution 256] [--batch 32] [--workers 2] [--seconds 5] [--float]
//                 [--scaled]
//     bench_loader SHARDS... --soak 1000000    memory, open files and threads, ten times on the way

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <iterator>
#include <string>
#include <thread>
#include <vector>

#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/log.h"
#include "dataloader/decode_image.h"
#include "dataloader/loader.h"
#include "dataloader/resize.h"
#include "dataloader/shard_list.h"

namespace {

using namespace crescendo::dataloader;
using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point began) {
  return std::chrono::duration<double>(Clock::now() - began).count();
}

struct Arguments {
  std::vector<std::string> shards;
  std::int64_t resolution = 256;
  std::int64_t batch = 32;
  std::int64_t workers = 2;
  double seconds = 5;
  bool to_float = false;
  bool scaled = false;
  std::int64_t soak = 0;
};

DataOptions options_of(const Arguments& arguments) {
  DataOptions options;
  options.shards = arguments.shards;
  options.resolution = arguments.resolution;
  options.workers = arguments.workers;
  options.jpeg_scaled_decoding = arguments.scaled;
  options.shuffle_buffer = 100;
  return options;
}

/// A line of /proc/self/status.
std::string status(const std::string& key) {
  std::ifstream lines("/proc/self/status");
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key + ":"))
      return line.substr(line.find_first_not_of(" \t", key.size() + 1));
  }
  return "?";
}

void soak(const Arguments& arguments) {
  Loader loader(options_of(arguments), {}, static_cast<std::size_t>(arguments.batch), 0,
                Order::kShuffled);
  const std::int64_t report = std::max<std::int64_t>(arguments.soak / 10, 1);
  for (std::int64_t done = 0; done < arguments.soak;) {
    const std::int64_t before = done / report;
    done += static_cast<std::int64_t>(loader.next()->size());
    if (done / report == before) continue;
    const auto files = std::distance(std::filesystem::directory_iterator("/proc/self/fd"), {});
    fmt::print("{:>9} samples: {} resident, {} files, {} threads\n", done, status("VmRSS"), files,
               status("Threads"));
  }
}

/// What a trainer without LibTorch would do with a batch: [-1, 1].
void convert(const std::vector<std::uint8_t>& pixels, std::vector<float>& values) {
  values.resize(pixels.size());
  for (std::size_t i = 0; i < pixels.size(); ++i) {
    values[i] = static_cast<float>(pixels[i]) * (1.0F / 127.5F) - 1.0F;
  }
}

double images_a_second(const Arguments& arguments) {
  Loader loader(options_of(arguments), {}, static_cast<std::size_t>(arguments.batch), 0,
                Order::kShuffled);
  std::vector<float> values;
  const auto take = [&] {
    const Batch batch = *loader.next();
    if (arguments.to_float) convert(batch.images, values);
    return batch.size();
  };
  for (int i = 0; i < 4; ++i) take();  // what is decoded ahead belongs to no measurement
  const Clock::time_point began = Clock::now();
  std::size_t images = 0;
  while (seconds_since(began) < arguments.seconds) images += take();
  return static_cast<double>(images) / seconds_since(began);
}

std::vector<RawSample> read_samples(const Arguments& arguments, std::size_t at_most) {
  std::vector<RawSample> samples;
  for (const std::string& shard : expand_shards(arguments.shards)) {
    TarReader archive(shard);
    SampleReader reader(archive, std::uint64_t{1} << 30);
    while (samples.size() < at_most) {
      std::optional<RawSample> sample = reader.next();
      if (!sample) break;
      samples.push_back(std::move(*sample));
    }
  }
  return samples;
}

/// Microseconds of `work` for each of `count` images.
double microseconds(std::size_t count, const std::function<void()>& work) {
  const Clock::time_point began = Clock::now();
  work();
  return seconds_since(began) * 1e6 / static_cast<double>(count);
}

nlohmann::ordered_json profile(const Arguments& arguments) {
  constexpr std::size_t kImages = 1000;
  nlohmann::ordered_json steps;
  std::vector<RawSample> samples;
  const Clock::time_point began = Clock::now();
  samples = read_samples(arguments, kImages);
  steps["tar"] = seconds_since(began) * 1e6 / static_cast<double>(samples.size());
  std::vector<Image> images(samples.size());
  const auto decode = [&](std::size_t first, std::size_t step) {
    for (std::size_t i = first; i < samples.size(); i += step) {
      for (const RawMember& member : samples[i].members) {
        if (member.suffix == "jpg") images[i] = decode_image(member.bytes);
      }
    }
  };
  steps["decode"] = microseconds(samples.size(), [&] { decode(0, 1); });
  std::vector<Image> squares(samples.size());
  steps["resize and crop"] = microseconds(samples.size(), [&] {
    for (std::size_t i = 0; i < images.size(); ++i) {
      const Size scaled =
          short_side_size({images[i].width, images[i].height}, arguments.resolution);
      const Size square{arguments.resolution, arguments.resolution};
      squares[i] = resize(images[i], scaled, center_window(scaled, square), Filter::kBicubic);
    }
  });
  // The limit: nothing but the codec, on every worker.
  const double apart = microseconds(samples.size(), [&] {
    std::vector<std::jthread> threads;
    const auto workers = static_cast<std::size_t>(arguments.workers);
    for (std::size_t t = 0; t < workers; ++t) threads.emplace_back(decode, t, workers);
  });
  return {{"microseconds", steps}, {"decode_only_images_per_s", 1e6 / apart}};
}

}  // namespace

int main(int argc, char** argv) {
  Arguments arguments;
  CLI::App app("Speed of the loader");
  app.add_option("SHARDS", arguments.shards)->required();
  app.add_option("--resolution", arguments.resolution);
  app.add_option("--batch", arguments.batch);
  app.add_option("--workers", arguments.workers);
  app.add_option("--seconds", arguments.seconds);
  app.add_flag("--float", arguments.to_float);
  app.add_flag("--scaled", arguments.scaled, "data.jpeg_scaled_decoding");
  app.add_option("--soak", arguments.soak);
  CLI11_PARSE(app, argc, argv);
  crescendo::log::start(/*quiet=*/true);
  if (arguments.soak > 0) {
    soak(arguments);
    return 0;
  }
  nlohmann::ordered_json result = profile(arguments);
  result["images_per_s"] = images_a_second(arguments);
  fmt::print("{}\n", result.dump());
  return 0;
}
