#include <vector>

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include "core/random.h"
#include "core/safetensors.h"

namespace crescendo {

namespace {

/// The noise of one latent, whose cost is paid for every sample of a step.
void BM_FillNormal(benchmark::State& state) {
  std::vector<float> noise(static_cast<std::size_t>(state.range(0)));
  std::uint64_t position = 0;
  for ([[maybe_unused]] const auto iteration : state) {
    RandomStream(1, Purpose::kNoise, position++).fill_normal(noise);
    benchmark::DoNotOptimize(noise.data());
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_FillNormal)->Arg(4 * 8 * 8)->Arg(4 * 64 * 64);

/// The order of an epoch of ImageNet.
void BM_Permutation(benchmark::State& state) {
  std::uint64_t epoch = 0;
  for ([[maybe_unused]] const auto iteration : state) {
    benchmark::DoNotOptimize(random_permutation(static_cast<std::uint32_t>(state.range(0)), 1,
                                                Purpose::kSampleOrder, epoch++));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_Permutation)->Arg(1'281'167)->Unit(benchmark::kMillisecond);

/// Opening a model: a header of as many tensors as Stable Diffusion's U-Net has.
void BM_ParseSafetensors(benchmark::State& state) {
  std::string header = "{";
  for (std::int64_t i = 0; i < state.range(0); ++i) {
    header +=
        fmt::format(R"({}"block.{}.weight":{{"dtype":"F32","shape":[0,3],"data_offsets":[0,0]}})",
                    i == 0 ? "" : ",", i);
  }
  header += "}";
  const std::uint64_t length = header.size();
  const std::string file =
      std::string(reinterpret_cast<const char*>(&length), sizeof(length)) + header;
  for ([[maybe_unused]] const auto iteration : state) {
    benchmark::DoNotOptimize(parse_safetensors(std::as_bytes(std::span(file)), "benchmark"));
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_ParseSafetensors)->Arg(686)->Unit(benchmark::kMicrosecond);

}  // namespace

}  // namespace crescendo
