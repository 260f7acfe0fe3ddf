#include "pipelines/training/training_step.h"

#include <cmath>
#include <functional>
#include <limits>

#include <gtest/gtest.h>

#include <ATen/ATen.h>
#include <torch/nn/modules/linear.h>

#include "pipelines/inspect.h"
#include "pipelines/training/training_loop.h"
#include "tests/core/error_text.h"
#include "tests/core/temporary_folder.h"

namespace crescendo::pipelines {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

/// Rows of numbers, of which a linear layer is to give 0. Batch k has the rows that `rows_of` says.
class RowsTask final : public TrainingTask {
 public:
  using Rows = std::function<at::Tensor(std::int64_t batch)>;

  RowsTask(const OptimizationOptions& options, Rows rows_of)
      : rows_of_(std::move(rows_of)),
        model_(make_model()),
        optimization_(model_.ptr(), nullptr, options) {}

  Optimization& optimization() override { return optimization_; }
  nlohmann::json state() const override { return {}; }
  void load_state(const nlohmann::json& /*state*/) override {}
  void start() override {}

  ForwardPass forward() override {
    const std::int64_t batch = batches_++;
    const at::Tensor rows = rows_of_(batch);
    std::vector<std::string> keys;
    for (std::int64_t i = 0; i < rows.size(0); ++i) keys.push_back(fmt::format("{}/{}", batch, i));
    const at::Tensor losses = model_(rows).square().mean(1);
    return {.losses = losses,
            .keys = keys,
            .parts = {{"again", losses.detach()}},
            .inputs = {{"rows", rows}}};
  }

  const at::Tensor& weight() const { return model_->weight; }

 private:
  static torch::nn::Linear make_model() {
    at::manual_seed(3);
    return torch::nn::Linear(5, 3);
  }

  Rows rows_of_;
  torch::nn::Linear model_;
  Optimization optimization_;
  std::int64_t batches_ = 0;
};

at::Tensor rows(std::int64_t first, std::int64_t count) {
  return at::sin(at::arange(5 * first, 5 * (first + count), at::kFloat)).view({count, 5});
}

TrainingLoopOptions sgd(std::int64_t batch_size, std::int64_t passes) {
  TrainingLoopOptions options;
  options.label = "train";
  options.train.optimizer = "sgd";
  options.train.learning_rate = 0.1;
  options.train.train_batch_size = batch_size;
  options.train.gradient_accumulation_steps = passes;
  options.train.max_nonfinite_steps = 2;
  return options;
}

class TrainingStepTest : public testing::Test {
 protected:
  TemporaryFolder folder_;
};

TEST_F(TrainingStepTest, PassesAddUpToOneBatch) {
  const TrainingLoopOptions whole = sgd(6, 1), parts = sgd(2, 3);
  RowsTask one(whole.train, [](std::int64_t) { return rows(0, 6); });
  RowsTask three(parts.train, [](std::int64_t batch) { return rows(2 * batch, 2); });
  const StepResult left = TrainingStep(one, whole, folder_.path()).take(0);
  const StepResult right = TrainingStep(three, parts, folder_.path()).take(0);
  EXPECT_NEAR(left.loss, right.loss, 1e-6);
  EXPECT_NEAR(left.parts[0].second, left.loss, 1e-6);
  EXPECT_NEAR(left.grad_norm, right.grad_norm, 1e-6);
  EXPECT_EQ(right.samples.keys,
            (std::vector<std::string>{"0/0", "0/1", "1/0", "1/1", "2/0", "2/1"}));
  EXPECT_TRUE(at::allclose(one.weight(), three.weight()));
}

TEST_F(TrainingStepTest, ShortBatchesCountBySamples) {
  const TrainingLoopOptions whole = sgd(5, 1), parts = sgd(4, 2);
  RowsTask one(whole.train, [](std::int64_t) { return rows(0, 5); });
  RowsTask uneven(parts.train,
                  [](std::int64_t batch) { return batch == 0 ? rows(0, 4) : rows(4, 1); });
  const StepResult left = TrainingStep(one, whole, folder_.path()).take(0);
  const StepResult right = TrainingStep(uneven, parts, folder_.path()).take(0);
  EXPECT_NEAR(left.loss, right.loss, 1e-6);
  EXPECT_NEAR(right.parts[0].second, right.loss, 1e-6);
  EXPECT_TRUE(at::allclose(one.weight(), uneven.weight()));
}

TEST_F(TrainingStepTest, LossScaleChangesNoBit) {
  TrainingLoopOptions plain = sgd(4, 1), scaled = sgd(4, 1);
  scaled.mixed_precision = "fp16";
  RowsTask left(plain.train, [](std::int64_t) { return rows(0, 4); });
  RowsTask right(scaled.train, [](std::int64_t) { return rows(0, 4); });
  const StepResult one = TrainingStep(left, plain, folder_.path()).take(0);
  const StepResult other = TrainingStep(right, scaled, folder_.path()).take(0);
  EXPECT_EQ(other.loss_scale, 65536);
  EXPECT_EQ(one.loss, other.loss);
  EXPECT_EQ(one.grad_norm, other.grad_norm);
  EXPECT_TRUE(at::equal(left.weight(), right.weight()));
}

TEST_F(TrainingStepTest, OverflowHalvesTheLossScaleAndDoesNotCount) {
  TrainingLoopOptions options = sgd(1, 1);
  options.mixed_precision = "fp16";
  // A finite loss whose gradient is not, at this scale.
  RowsTask task(options.train, [](std::int64_t) { return at::full({1, 5}, 1e17F); });
  TrainingStep step(task, options, folder_.path());
  const at::Tensor before = task.weight().detach().clone();
  EXPECT_TRUE(step.take(0).skipped);
  const StepResult second = step.take(1);
  EXPECT_EQ(second.loss_scale, 32768);
  EXPECT_EQ(step.nonfinite_steps(), 0);
  EXPECT_TRUE(at::equal(task.weight(), before));
}

TEST_F(TrainingStepTest, SkipsWhatIsNotFiniteAndCounts) {
  const TrainingLoopOptions options = sgd(2, 1);
  const auto spoilt = [](std::int64_t batch) {
    at::Tensor values = rows(batch, 2);
    if (batch == 1) values[1][0] = kNan;
    return values;
  };
  RowsTask task(options.train, spoilt),
      spared(options.train, [](std::int64_t batch) { return rows(2 * batch, 2); });
  TrainingStep step(task, options, folder_.path()), other(spared, options, folder_.path());
  for (std::int64_t i = 0; i < 3; ++i) EXPECT_EQ(step.take(i).skipped, i == 1) << i;
  other.take(0);
  other.take(2);
  EXPECT_EQ(step.nonfinite_steps(), 1);
  EXPECT_TRUE(at::equal(task.weight(), spared.weight())) << "as if the bad step had not been";
  EXPECT_FALSE(std::filesystem::exists(folder_ / "nonfinite"));
}

TEST_F(TrainingStepTest, TooManyInARowEndTheRunWithADump) {
  const TrainingLoopOptions options = sgd(2, 2);
  // Both passes are bad from the second step on; the second row of the second pass at first.
  const auto spoilt = [](std::int64_t batch) {
    at::Tensor values = rows(batch, 2);
    if (batch > 2) values[1][0] = kNan;
    return values;
  };
  RowsTask task(options.train, spoilt);
  TrainingStep step(task, options, folder_.path());
  step.take(0);
  step.take(1);
  step.take(2);
  const std::filesystem::path dump = folder_ / "nonfinite/step-00000004";
  const std::string error = error_text([&] { step.take(3); });
  EXPECT_TRUE(error.starts_with("train: the loss is nan")) << error;
  EXPECT_NE(error.find("`crescendo inspect " + dump.string() + "`"), std::string::npos) << error;

  InspectRequest request;
  request.targets = {dump.string()};
  const auto report = inspect(request);
  EXPECT_EQ(report["kind"], "nonfinite step");
  EXPECT_EQ(report["step"], 4);
  EXPECT_EQ(report["pass"], 0);
  EXPECT_EQ(report["pass_keys"], (std::vector<std::string>{"6/0", "6/1"}));
  EXPECT_EQ(report["not_finite"]["losses"], (std::vector<std::string>{"6/1: nan", "7/1: nan"}));
  EXPECT_EQ(report["not_finite"]["inputs"], (std::vector<std::string>{"rows"}));
  EXPECT_EQ(report["not_finite"]["gradients"],
            (std::vector<std::string>{"bias: nan", "weight: nan"}));
  EXPECT_TRUE(report["not_finite"]["weights"].empty());
  EXPECT_TRUE(report["problems"][0].get<std::string>().starts_with("what went into the model"));
}

TEST_F(TrainingStepTest, CountsAreInItsState) {
  TrainingLoopOptions options = sgd(1, 1);
  options.mixed_precision = "fp16";
  const auto all_bad = [](std::int64_t) { return at::full({1, 5}, kNan); };
  RowsTask task(options.train, all_bad);
  TrainingStep step(task, options, folder_.path());
  step.take(0);
  step.take(1);
  TrainingStep resumed(task, options, folder_.path());
  resumed.load_state(step.state());
  EXPECT_EQ(resumed.state(), step.state());
  EXPECT_EQ(resumed.nonfinite_steps(), 2);
  EXPECT_NE(error_text([&] { resumed.take(2); }), "") << "the third in a row";
  EXPECT_EQ(data_error_text([&] {
              resumed.load_state({{"loss_scale", 1}});
            }),
            "the counts of skipped steps are missing");
}

TEST(LossScaleTest, GrowsAfterTwoThousandFiniteSteps) {
  LossScale scale(true);
  for (int i = 0; i < 1999; ++i) scale.grow();
  EXPECT_EQ(scale.value(), 65536);
  LossScale resumed(true);
  resumed.load_state(scale.state());
  resumed.grow();
  EXPECT_EQ(resumed.value(), 131072);
}

TEST(LossScaleTest, ShrinksToOneAndIsThenNotToBlame) {
  LossScale scale(true);
  for (int i = 0; i < 16; ++i) EXPECT_TRUE(scale.shrink());
  EXPECT_EQ(scale.value(), 1);
  EXPECT_FALSE(scale.shrink());
  EXPECT_FALSE(LossScale(false).shrink());
}

}  // namespace
}  // namespace crescendo::pipelines
