#include "pipelines/training/gradient_buckets.h"

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <torch/nn/modules/container/sequential.h>
#include <torch/nn/modules/linear.h>

namespace crescendo::pipelines {
namespace {

/// Two ranks that always have the same gradients.
class Twins final : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 2; }
  int local_rank() const override { return 0; }
  int local_size() const override { return 2; }
  std::unique_ptr<Transfer> start_sum(void* data, std::size_t count, Number number) override {
    counts.push_back(count);
    const at::ScalarType type = number == Number::kBfloat16 ? at::kBFloat16 : at::kFloat;
    return std::make_unique<Doubling>(
        at::from_blob(data, {static_cast<std::int64_t>(count)}, type));
  }
  void broadcast(std::span<std::byte> /*bytes*/, int /*root*/) override {}
  std::vector<std::string> gather(const std::string& bytes) override { return {bytes, bytes}; }
  void abort(int /*code*/) override {}

  std::vector<std::size_t> counts;  ///< of the sums that were started

 private:
  struct Doubling final : Transfer {
    explicit Doubling(at::Tensor sum) : numbers(std::move(sum)) {}
    void progress() override {}
    void wait() override { numbers.mul_(2); }
    at::Tensor numbers;
  };
};

class GradientBucketsTest : public testing::Test {
 protected:
  void backward() {
    (model_->forward(at::sin(at::arange(12.)).view({4, 3})).square().sum()).backward();
  }

  std::vector<at::Tensor> gradients() {
    std::vector<at::Tensor> all;
    for (const at::Tensor& parameter : model_->parameters())
      all.push_back(parameter.grad().clone());
    return all;
  }

  /// Of so many passes, without buckets.
  std::vector<at::Tensor> expected(int passes) {
    for (int i = 0; i < passes; ++i) backward();
    std::vector<at::Tensor> all = gradients();
    for (at::Tensor& gradient : all) gradient.mul_(2);
    model_->zero_grad();
    return all;
  }

  Twins ranks_;
  torch::nn::Sequential model_{torch::nn::Linear(3, 5), torch::nn::Linear(5, 2)};
};

TEST_F(GradientBucketsTest, DepartInTheLastPassFromTheLastParameterOn) {
  const std::vector<at::Tensor> sums = expected(2);
  // Weights of 10 and 15 numbers, biases of 2 and 5: those of the second layer, then of the first.
  GradientBuckets buckets(model_->parameters(), ranks_, Number::kFloat32, 15 * sizeof(float));
  backward();
  EXPECT_TRUE(ranks_.counts.empty()) << "a gradient departed before it was whole";
  buckets.start();
  backward();
  EXPECT_EQ(ranks_.counts, (std::vector<std::size_t>{12, 5, 15})) << "while the pass went on";
  buckets.finish();
  EXPECT_EQ(ranks_.counts.size(), 3U);
  for (std::size_t i = 0; i < sums.size(); ++i)
    EXPECT_TRUE(at::equal(gradients()[i], sums[i])) << i;
}

TEST_F(GradientBucketsTest, TravelInHalfTheBytes) {
  const std::vector<at::Tensor> sums = expected(1);
  GradientBuckets buckets(model_->parameters(), ranks_, Number::kBfloat16);
  buckets.start();
  backward();
  buckets.finish();
  for (std::size_t i = 0; i < sums.size(); ++i) {
    EXPECT_TRUE(at::equal(gradients()[i], sums[i].to(at::kBFloat16).to(at::kFloat))) << i;
  }
}

TEST_F(GradientBucketsTest, AMissingGradientCountsAsZero) {
  GradientBuckets buckets(model_->parameters(), ranks_, Number::kFloat32);
  buckets.finish();
  for (const at::Tensor& gradient : gradients()) EXPECT_EQ(gradient.count_nonzero().item<int>(), 0);
  EXPECT_EQ(ranks_.counts, (std::vector<std::size_t>{32}));
}

TEST_F(GradientBucketsTest, LeaveNoHooks) {
  { const GradientBuckets buckets(model_->parameters(), ranks_, Number::kFloat32); }
  backward();
  EXPECT_TRUE(ranks_.counts.empty());
}

}  // namespace
}  // namespace crescendo::pipelines
