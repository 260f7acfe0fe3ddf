#include "pipelines/training/posthoc_ema.h"

#include <cmath>

#include <gtest/gtest.h>

#include <ATen/ATen.h>

namespace crescendo::pipelines {
namespace {

/// The integral of f over [0, end] by the midpoint rule.
template <typename Function>
double integrate(double end, const Function& f) {
  constexpr int kSteps = 200'000;
  double sum = 0;
  for (int i = 0; i < kSteps; ++i) sum += f((i + 0.5) * end / kSteps);
  return sum * end / kSteps;
}

double density(const PowerProfile& profile, double time) {
  if (time > profile.updates) return 0;
  return (profile.gamma + 1) / profile.updates * std::pow(time / profile.updates, profile.gamma);
}

TEST(PosthocEmaTest, PowerHasTheWantedDeviation) {
  // The values of arXiv 2312.02696, section 3.1.
  EXPECT_NEAR(power_of(0.05), 16.97, 0.005);
  EXPECT_NEAR(power_of(0.10), 6.94, 0.005);
  for (const double sigma_rel : {0.03, 0.1, 0.25}) {
    const PowerProfile profile{power_of(sigma_rel), 1};
    const double mean = integrate(1, [&](double t) { return t * density(profile, t); });
    const double square = integrate(1, [&](double t) { return t * t * density(profile, t); });
    EXPECT_NEAR(std::sqrt(square - mean * mean), sigma_rel, 1e-6);
  }
}

TEST(PosthocEmaTest, DecayGivesThePowerAverage) {
  const double gamma = power_of(0.15);
  double average = 100;  // forgotten at once
  double expected = 0;
  for (std::int64_t update = 1; update <= 60; ++update) {
    const double weight = std::sin(static_cast<double>(update));
    const double kept = power_decay_at(gamma, update);
    average = kept * average + (1 - kept) * weight;
    // The profile's integral over the time of each update.
    const auto now = static_cast<double>(update);
    expected = 0;
    for (std::int64_t past = 1; past <= update; ++past) {
      const auto end = static_cast<double>(past);
      expected +=
          std::sin(end) * (std::pow(end / now, gamma + 1) - std::pow((end - 1) / now, gamma + 1));
    }
    EXPECT_NEAR(average, expected, 1e-12) << update;
  }
}

TEST(PosthocEmaTest, OverlapIsTheIntegralOfTheProduct) {
  const PowerProfile a{power_of(0.05), 700}, b{power_of(0.1), 1000}, c{0, 400};
  for (const auto& [left, right] :
       {std::pair{a, b}, std::pair{b, a}, std::pair{a, a}, std::pair{b, c}}) {
    const double expected = integrate(
        1000, [&, l = left, r = right](double t) { return density(l, t) * density(r, t); });
    EXPECT_NEAR(overlap(left, right), expected, 1e-4 * expected);
  }
  // Long runs do not overflow.
  EXPECT_NEAR(overlap({200, 1e7}, {200, 1e7}), 201.0 * 201 / 401 / 1e7, 1e-12);
}

TEST(PosthocEmaTest, CombinesToASnapshotThatIsThere) {
  const std::vector<PowerProfile> snapshots{
      {power_of(0.05), 500}, {power_of(0.1), 500}, {power_of(0.05), 1000}, {power_of(0.1), 1000}};
  const std::vector<double> factors = combine(snapshots, snapshots[2]);
  EXPECT_NEAR(factors[0], 0, 1e-9);
  EXPECT_NEAR(factors[1], 0, 1e-9);
  EXPECT_NEAR(factors[2], 1, 1e-9);
  EXPECT_NEAR(factors[3], 0, 1e-9);
}

TEST(PosthocEmaTest, CombinationIsTheBestOfAll) {
  const std::vector<PowerProfile> snapshots{
      {power_of(0.05), 600}, {power_of(0.1), 600}, {power_of(0.1), 1000}};
  const PowerProfile wanted{power_of(0.2), 1000};
  const std::vector<double> factors = combine(snapshots, wanted);
  const auto error = [&](std::vector<double> by) {
    return integrate(1000, [&](double t) {
      double difference = density(wanted, t);
      for (std::size_t i = 0; i < by.size(); ++i) difference -= by[i] * density(snapshots[i], t);
      return difference * difference;
    });
  };
  const double least = error(factors);
  for (std::size_t i = 0; i < factors.size(); ++i) {
    for (const double change : {-1e-3, 1e-3}) {
      std::vector<double> other = factors;
      other[i] += change;
      EXPECT_GT(error(other), least);
    }
  }
}

TEST(PosthocEmaTest, ReconstructsOtherLengthsFromARecordedRun) {
  // A weight on its way, with noise, as weights have; averages of it and snapshots of these.
  constexpr std::int64_t kUpdates = 2000;
  at::manual_seed(0);
  const at::Tensor noise = at::randn({kUpdates + 1}, at::kDouble);
  const auto weight_at = [&](std::int64_t update) {
    return std::exp(-static_cast<double>(update) / 500) + 0.3 * noise[update].item<double>();
  };
  const auto average_until = [&](double gamma, std::int64_t end) {
    double average = 0;
    for (std::int64_t update = 1; update <= end; ++update) {
      const double kept = power_decay_at(gamma, update);
      average = kept * average + (1 - kept) * weight_at(update);
    }
    return average;
  };
  std::vector<PowerProfile> snapshots;
  std::vector<double> averages;
  for (std::int64_t end = 20; end <= kUpdates; end += 20) {
    for (const double sigma_rel : {0.05, 0.1}) {
      snapshots.push_back({power_of(sigma_rel), static_cast<double>(end)});
      averages.push_back(average_until(power_of(sigma_rel), end));
    }
  }
  for (const double sigma_rel : {0.06, 0.08, 0.15, 0.2, 0.25}) {
    const double gamma = power_of(sigma_rel);
    const std::vector<double> factors = combine(snapshots, {gamma, kUpdates});
    double reconstructed = 0;
    for (std::size_t i = 0; i < factors.size(); ++i) reconstructed += factors[i] * averages[i];
    EXPECT_NEAR(reconstructed, average_until(gamma, kUpdates), 2e-3) << sigma_rel;
  }
}

}  // namespace
}  // namespace crescendo::pipelines
