#include "pipelines/serving/job_queue.h"

#include <atomic>
#include <future>
#include <thread>

#include <gtest/gtest.h>

#include "pipelines/serving/api_error.h"
#include "tests/pipelines/serving/test_painter.h"

namespace crescendo::pipelines {
namespace {

using Outcome = JobQueue::Outcome;

struct Stopped {};

/// A queue with its worker, which ends with the test.
class JobQueueTest : public testing::Test {
 protected:
  ~JobQueueTest() override {
    painter_.release();
    stop_ = true;
    worker_.join();
  }

  std::future<Outcome> ask(
      const std::string& prompt, std::function<bool()> is_gone = [] { return false; },
      std::int64_t count = 1) {
    return std::async(std::launch::async, [this, prompt, is_gone, count] {
      PaintRequest request{.prompt = prompt, .seed = 3, .count = count, .steps = 4};
      request.width = request.height = 16;
      return queue_.run(request, prompt, is_gone);
    });
  }

  /// Three pictures are asked for; the first is done, and the second held after a step.
  std::future<Outcome> ask_until_second_picture() {
    painter_.hold();
    auto answer = ask(
        "a", [] { return false; }, 3);
    for (int i = 0; i < 5; ++i) {
      painter_.wait_until_held();
      painter_.step();
    }
    painter_.wait_until_held();
    return answer;
  }

  void wait_for_waiting(std::size_t count) {
    while (queue_.progress(false).waiting != count) std::this_thread::yield();
  }

  static int status(std::future<Outcome>& answer) {
    try {
      answer.get();
      return 200;
    } catch (const ApiError& error) {
      return error.status();
    }
  }

  TestPainter painter_;
  Painter functions_ = painter_.painter();
  JobQueue queue_{1};
  std::atomic<bool> stop_ = false;
  std::thread worker_{[this] {
    try {
      queue_.work(functions_, [this] {
        if (stop_) throw Stopped();
      });
    } catch (const Stopped&) {
    }
  }};
};

TEST_F(JobQueueTest, DrawsWhatIsAskedFor) {
  const Outcome outcome = ask(
                              "a", [] { return false; }, 2)
                              .get();
  ASSERT_EQ(outcome.pictures.size(), 2U);
  EXPECT_EQ(outcome.pictures[1].seed, 4U);
  EXPECT_FALSE(outcome.is_interrupted);
  EXPECT_EQ(queue_.task_state("a"), JobQueue::TaskState::kDone);
}

TEST_F(JobQueueTest, HasABoundAndKeepsTheOrder) {
  painter_.hold();
  auto first = ask("a");
  painter_.wait_until_held();
  auto second = ask("b");
  wait_for_waiting(1);
  EXPECT_EQ(queue_.task_state("b"), JobQueue::TaskState::kWaiting);
  auto third = ask("c");
  EXPECT_EQ(status(third), 429);
  painter_.release();
  EXPECT_EQ(status(first), 200);
  EXPECT_EQ(status(second), 200);
  EXPECT_EQ(painter_.seen()[1].prompt, "b");
}

TEST_F(JobQueueTest, TellsOfStepsAndShowsPreviewsOnlyIfAsked) {
  painter_.hold();
  auto answer = ask("a");
  painter_.wait_until_held();
  EXPECT_TRUE(queue_.progress(false).is_active);
  painter_.step();
  painter_.wait_until_held();
  JobQueue::Progress progress = queue_.progress(true);
  EXPECT_EQ(progress.step, 1);
  EXPECT_EQ(progress.steps, 4);
  EXPECT_FALSE(progress.preview);
  painter_.step();
  painter_.wait_until_held();
  progress = queue_.progress(true);
  ASSERT_TRUE(progress.preview);
  EXPECT_EQ(progress.preview->pixels[0], 2);
  EXPECT_EQ(progress.preview_number, 1U);
  painter_.release();
  answer.get();
  EXPECT_FALSE(queue_.progress(true).is_active);
}

TEST_F(JobQueueTest, AClientThatLeavesStopsItsDrawing) {
  painter_.hold();
  std::atomic<bool> is_gone = false;
  auto answer = ask("a", [&] { return is_gone.load(); });
  painter_.wait_until_held();
  is_gone = true;
  EXPECT_EQ(status(answer), 499);
  painter_.release();
  EXPECT_EQ(ask("b").get().pictures.size(), 1U);
  EXPECT_EQ(painter_.steps_done(), 1 + 4) << "the step that was held, then none of the first";
}

TEST_F(JobQueueTest, AClientThatLeavesWhileItWaitsIsNeverDrawn) {
  painter_.hold();
  auto first = ask("a");
  painter_.wait_until_held();
  auto second = ask("b", [] { return true; });
  EXPECT_EQ(status(second), 499);
  EXPECT_EQ(queue_.progress(false).waiting, 0U);
  painter_.release();
  first.get();
  EXPECT_EQ(painter_.seen().size(), 1U);
}

TEST_F(JobQueueTest, AnInterruptionLeavesWhatIsDone) {
  auto answer = ask_until_second_picture();
  queue_.interrupt();
  painter_.release();
  const Outcome outcome = answer.get();
  EXPECT_TRUE(outcome.is_interrupted);
  EXPECT_EQ(outcome.pictures.size(), 1U);
}

TEST_F(JobQueueTest, AnInterruptionOfNothingHarmsNoLaterRequest) {
  queue_.interrupt();
  EXPECT_FALSE(ask("a").get().is_interrupted);
}

TEST_F(JobQueueTest, ASkipLeavesOutWhatIsDrawnAndGoesOn) {
  auto answer = ask_until_second_picture();
  queue_.skip();
  EXPECT_TRUE(queue_.progress(false).is_skipped);
  painter_.step();
  painter_.wait_until_held();
  EXPECT_FALSE(queue_.progress(false).is_skipped);
  painter_.release();
  const Outcome outcome = answer.get();
  ASSERT_EQ(outcome.pictures.size(), 2U);
  EXPECT_EQ(outcome.pictures[0].seed, 3U);
  EXPECT_EQ(outcome.pictures[1].seed, 5U);
  EXPECT_FALSE(outcome.is_interrupted);
}

TEST_F(JobQueueTest, ASkipThatComesTooLateLeavesOutNoOther) {
  Painter late = painter_.painter();
  const auto paint = late.paint;
  late.paint = [&](const auto& request, const auto& on_step, const auto& take) {
    paint(request, on_step, [&](PaintedPicture picture) {
      if (picture.seed == 3) queue_.skip();
      take(std::move(picture));
    });
  };
  functions_ = late;
  EXPECT_EQ(ask(
                "a", [] { return false; }, 2)
                .get()
                .pictures.size(),
            2U);
}

TEST_F(JobQueueTest, ASkipOfNothingHarmsNoLaterRequest) {
  queue_.skip();
  EXPECT_EQ(ask("a").get().pictures.size(), 1U);
}

TEST_F(JobQueueTest, AFailureIsItsClientsAlone) {
  auto broken = ask("broken");
  EXPECT_THROW(broken.get(), std::runtime_error);
  EXPECT_EQ(ask("a").get().pictures.size(), 1U);
}

TEST_F(JobQueueTest, AStopEndsAllWith503) {
  painter_.hold();
  auto first = ask("a");
  painter_.wait_until_held();
  auto second = ask("b");
  wait_for_waiting(1);
  stop_ = true;
  painter_.release();
  EXPECT_EQ(status(first), 503);
  EXPECT_EQ(status(second), 503);
  auto late = ask("c");
  EXPECT_EQ(status(late), 503);
}

}  // namespace
}  // namespace crescendo::pipelines
