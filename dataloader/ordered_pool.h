#pragma once

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <stop_token>
#include <thread>
#include <utility>
#include <vector>

#include "core/interruption.h"

namespace crescendo::dataloader {

/// Runs `work` over the items of `source` on several threads and hands the results back in the
/// order of the items. A thread takes some items at a time under a lock, so `source` needs none of
/// its own; at most `window` items are taken and not yet handed back, which bounds the memory.
/// An exception of `source` or `work` comes out of next() at that item's turn.
template <typename Item, typename Result>
class OrderedPool {
 public:
  using Source = std::function<std::optional<Item>()>;  ///< nothing: the end
  using Work = std::function<Result(Item)>;

  OrderedPool(Source source, Work work, std::size_t threads, std::size_t window)
      : source_(std::move(source)),
        work_(std::move(work)),
        slots_(window),
        share_(std::clamp<std::size_t>(window / (4 * threads), 1, kLargestShare)) {
    for (std::size_t i = 0; i < threads; ++i) {
      threads_.emplace_back([this](const std::stop_token& stop) { run(stop); });
    }
  }

  // All are told before one is joined: a thread that waits for room holds the lock of the others.
  ~OrderedPool() {
    for (std::jthread& thread : threads_) thread.request_stop();
  }
  OrderedPool(const OrderedPool&) = delete;
  OrderedPool& operator=(const OrderedPool&) = delete;

  /// Waits for the next result; nothing after the end. One consumer only. Throws Interrupted where
  /// it would wait although a stop was asked for.
  std::optional<Result> next() {
    Slot slot;
    bool room = false;
    {
      std::unique_lock lock(mutex_);
      const auto ready = [this] { return slots_[given_ % slots_.size()].done || given_ == end_; };
      while (!filled_.wait_for(lock, kLook, ready)) throw_if_stopped();
      if (given_ == end_) return std::nullopt;
      slot = std::exchange(slots_[given_ % slots_.size()], Slot{});
      ++given_;
      room = taken_ + share_ == given_ + slots_.size();
    }
    if (room) room_.notify_one();
    if (slot.failure) std::rethrow_exception(slot.failure);
    return std::move(slot.result);
  }

 private:
  struct Slot {
    bool done = false;
    std::optional<Result> result;
    std::exception_ptr failure;
  };
  static constexpr std::chrono::milliseconds kLook{100};  ///< a signal wakes no waiting thread
  static constexpr std::uint64_t kNoEnd = ~std::uint64_t{0};
  // With small images, locks and wake-ups cost as much as the work when taken one by one.
  static constexpr std::size_t kLargestShare = 16;

  /// Items that follow one another, and what the source threw instead of a further one.
  struct Share {
    std::uint64_t first = 0;  ///< number of the first item
    std::vector<Item> items;
    std::exception_ptr failure;
  };

  void run(const std::stop_token& stop) {
    while (std::optional<Share> share = take(stop)) {
      std::vector<Slot> done;
      for (Item& item : share->items) done.push_back(work_on(std::move(item)));
      if (share->failure) {
        // Moved: the consumer is the last to hold it.
        done.push_back({.done = true, .result = {}, .failure = std::move(share->failure)});
      }
      const std::lock_guard lock(mutex_);
      for (std::size_t i = 0; i < done.size(); ++i) {
        slots_[(share->first + i) % slots_.size()] = std::move(done[i]);
      }
      if (slots_[given_ % slots_.size()].done) filled_.notify_one();
    }
  }

  Slot work_on(Item item) {
    Slot slot{.done = true, .result = {}, .failure = {}};
    try {
      slot.result.emplace(work_(std::move(item)));
    } catch (...) {
      slot.failure = std::current_exception();
    }
    return slot;
  }

  /// The next items once there is room for their results; nothing at the end or when told to stop.
  std::optional<Share> take(const std::stop_token& stop) {
    const std::lock_guard taking(source_mutex_);
    {
      std::unique_lock lock(mutex_);
      const bool room = room_.wait(lock, stop, [this] {
        return taken_ + share_ <= given_ + slots_.size() || end_ != kNoEnd;
      });
      if (!room || stop.stop_requested() || end_ != kNoEnd) return std::nullopt;
    }
    Share share{.first = taken_, .items = {}, .failure = {}};
    bool over = false;
    try {
      while (!over && share.items.size() < share_) {
        std::optional<Item> item = source_();
        over = !item;
        if (item) share.items.push_back(std::move(*item));
      }
    } catch (...) {
      share.failure = std::current_exception();
    }
    const std::lock_guard lock(mutex_);
    taken_ += share.items.size() + (share.failure ? 1 : 0);
    // Nothing comes after a source that failed, or that is over.
    if (over || share.failure) end_ = taken_;
    if (end_ != kNoEnd) filled_.notify_one();
    if (taken_ == share.first) return std::nullopt;
    return share;
  }

  Source source_;
  Work work_;
  std::mutex source_mutex_;
  std::mutex mutex_;  ///< guards what follows
  std::condition_variable_any room_;
  std::condition_variable filled_;
  std::vector<Slot> slots_;  ///< result i is in slot i modulo their number
  std::size_t share_;        ///< items that a thread takes at a time
  std::uint64_t taken_ = 0;
  std::uint64_t given_ = 0;
  std::uint64_t end_ = kNoEnd;
  std::vector<std::jthread> threads_;  ///< last, so that they are joined first
};

}  // namespace crescendo::dataloader
