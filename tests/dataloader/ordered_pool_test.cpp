#include "dataloader/ordered_pool.h"

#include <algorithm>
#include <atomic>
#include <csignal>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>

#include <gtest/gtest.h>

namespace crescendo::dataloader {

namespace {

using Pool = OrderedPool<int, int>;

/// 0, 1, ..., count - 1.
Pool::Source count_to(int count) {
  return [count, next = 0]() mutable {
    return next < count ? std::optional<int>(next++) : std::nullopt;
  };
}

/// Later items are done earlier, so that results are out of order unless the pool puts them right.
int slow_at_first(int item) {
  for (int i = 0; i < (97 - item % 97) * 50; ++i)
    std::atomic_signal_fence(std::memory_order_seq_cst);
  return item * item;
}

TEST(OrderedPoolTest, GivesResultsInTheOrderOfTheItems) {
  for (const std::size_t threads : {1U, 2U, 7U}) {
    for (const std::size_t window : {1U, 3U, 64U, 500U}) {
      Pool pool(count_to(200), slow_at_first, threads, window);
      for (int i = 0; i < 200; ++i) ASSERT_EQ(pool.next(), i * i);
      EXPECT_EQ(pool.next(), std::nullopt);
      EXPECT_EQ(pool.next(), std::nullopt);
    }
  }
}

/// The most items that were taken and not handed back.
int most_ahead(std::size_t threads, std::size_t window) {
  std::atomic<int> taken = 0;
  std::atomic<int> most = 0;
  std::atomic<int> returned = 0;
  Pool pool(
      [&]() -> std::optional<int> {
        const int ahead = taken.load() - returned.load() + 1;
        if (ahead > most.load()) most = ahead;
        return taken++;
      },
      [](int item) { return item; }, threads, window);
  for (int given = 0; given < 500; ++given) {
    returned = given;  // no more than were handed back, so `ahead` is never counted too small
    EXPECT_EQ(pool.next(), given);
  }
  return most;
}

TEST(OrderedPoolTest, TakesNoMoreThanTheWindow) {
  for (const int window : {1, 5, 50}) {  // of the last, a thread takes three items at a time
    const int most = most_ahead(4, static_cast<std::size_t>(window));
    // One more than the window: next() frees a place before it can be counted.
    EXPECT_LE(most, window + 1);
    EXPECT_GE(most, std::min(window, 3));
  }
}

TEST(OrderedPoolTest, GivesWhatCameBeforeAFailureOfTheSource) {
  Pool pool(
      [next = 0]() mutable -> std::optional<int> {
        if (next == 7) throw std::runtime_error("source");
        return next++;
      },
      [](int item) { return item; }, 1, 64);
  for (int i = 0; i < 7; ++i) EXPECT_EQ(pool.next(), i);
  EXPECT_THROW(pool.next(), std::runtime_error);
  EXPECT_EQ(pool.next(), std::nullopt);
}

TEST(OrderedPoolTest, RethrowsWhatWorkThrowsAtItsTurnAndGoesOn) {
  Pool pool(
      count_to(6),
      [](int item) {
        if (item == 2) throw std::runtime_error("two");
        return item;
      },
      3, 4);
  EXPECT_EQ(pool.next(), 0);
  EXPECT_EQ(pool.next(), 1);
  EXPECT_THROW(pool.next(), std::runtime_error);
  for (int i = 3; i < 6; ++i) EXPECT_EQ(pool.next(), i);
  EXPECT_EQ(pool.next(), std::nullopt);
}

TEST(OrderedPoolTest, RethrowsWhatTheSourceThrowsAndEnds) {
  Pool pool(
      [next = 0]() mutable -> std::optional<int> {
        if (next == 3) throw std::runtime_error("source");
        return next++;
      },
      [](int item) { return item; }, 2, 8);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(pool.next(), i);
  try {
    pool.next();
    FAIL() << "the source's exception is lost";
  } catch (const std::runtime_error& failure) {
    EXPECT_STREQ(failure.what(), "source");
  }
  EXPECT_EQ(pool.next(), std::nullopt);
}

TEST(OrderedPoolTest, CarriesValuesThatOnlyMove) {
  OrderedPool<std::unique_ptr<int>, std::unique_ptr<int>> pool(
      [next = 0]() mutable { return std::optional(std::make_unique<int>(next++)); },
      [](std::unique_ptr<int> item) { return item; }, 2, 2);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(**pool.next(), i);
}

// A thread that waits for room holds the lock that the others wait for: all must be told to stop
// before one is joined.
TEST(OrderedPoolTest, StopsWhileItsWindowIsFull) {
  for (int round = 0; round < 200; ++round) {
    std::atomic<int> done = 0;
    Pool pool([]() -> std::optional<int> { return 1; },
              [&done](int item) {
                ++done;
                done.notify_one();
                return item;
              },
              4, 2);
    for (int seen = 0; seen < 2; seen = done) done.wait(seen);
  }
}

TEST(OrderedPoolTest, StopsWithoutHavingBeenRead) {
  for (int round = 0; round < 100; ++round) Pool(count_to(round % 3), slow_at_first, 3, 2);
}

TEST(OrderedPoolTest, AWaitEndsWhenAStopIsAskedFor) {
  std::atomic<bool> blocked = false;
  std::atomic<bool> released = false;
  Pool pool(
      [&, next = 0]() mutable -> std::optional<int> {
        if (next == 2) {
          blocked = true;
          blocked.notify_one();
          released.wait(false);
        }
        return next++;
      },
      [](int item) { return item; }, 1, 3);
  blocked.wait(false);
  request_stop(SIGTERM);
  // What is there is still given.
  EXPECT_EQ(pool.next(), 0);
  EXPECT_EQ(pool.next(), 1);
  EXPECT_THROW(pool.next(), Interrupted);
  clear_requests();
  released = true;
  released.notify_one();
  EXPECT_EQ(pool.next(), 2);
}

}  // namespace

}  // namespace crescendo::dataloader
