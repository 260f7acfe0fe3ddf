#include "pipelines/serving/job_queue.h"

#include <algorithm>
#include <utility>

#include "pipelines/serving/api_error.h"

namespace crescendo::pipelines {

namespace {

constexpr std::chrono::milliseconds kGlance(100);
constexpr std::size_t kRememberedTasks = 64;

ApiError closing() { return {503, "the server is ending"}; }

}  // namespace

JobQueue::Outcome JobQueue::run(PaintRequest request, std::string task_id,
                                const std::function<bool()>& is_gone) {
  const auto job = std::make_shared<Job>(Job{std::move(request), std::move(task_id)});
  std::unique_lock lock(mutex_);
  if (is_closed_) throw closing();
  if (waiting_.size() + (active_ ? 1 : 0) > most_waiting_) {
    throw ApiError(
        429, fmt::format("{} requests wait already, as many as --max-queue lets; try again later",
                         waiting_.size()));
  }
  waiting_.push_back(job);
  arrived_.notify_one();
  while (!done_.wait_for(lock, kGlance, [&] { return job->is_done; })) {
    lock.unlock();
    const bool has_left = is_gone();
    lock.lock();
    if (!has_left || job->is_done) continue;
    job->is_abandoned = true;
    std::erase(waiting_, job);
    throw ApiError(499, "the client has left");
  }
  if (job->failure) std::rethrow_exception(job->failure);
  return std::move(job->outcome);
}

std::shared_ptr<JobQueue::Job> JobQueue::next() {
  std::unique_lock lock(mutex_);
  if (!arrived_.wait_for(lock, kGlance, [&] { return !waiting_.empty(); })) return nullptr;
  active_ = std::move(waiting_.front());
  waiting_.pop_front();
  progress_ = {.is_active = true, .task_id = active_->task_id};
  wants_preview_ = false;
  began_ = std::chrono::steady_clock::now();
  return active_;
}

void JobQueue::work(const Painter& painter, const std::function<void()>& check_stop) {
  try {
    while (true) {
      check_stop();
      if (const std::shared_ptr<Job> job = next()) paint(painter, *job, check_stop);
    }
  } catch (...) {
    close();
    throw;
  }
}

void JobQueue::paint(const Painter& painter, Job& job, const std::function<void()>& check_stop) {
  std::exception_ptr stopped;
  try {
    painter.paint(
        job.request,
        [&](const PaintStep& step) {
          try {
            check_stop();
          } catch (...) {
            stopped = std::current_exception();
            throw;
          }
          observe(job, step);
        },
        [&](PaintedPicture picture) { take(job, std::move(picture)); });
  } catch (const PaintingCancelled&) {
    job.outcome.is_interrupted = true;
  } catch (...) {
    job.failure = stopped ? std::make_exception_ptr(closing()) : std::current_exception();
  }
  finish(job);
  if (stopped) std::rethrow_exception(stopped);
}

void JobQueue::observe(Job& job, const PaintStep& step) {
  bool wants_preview = false;
  {
    const std::lock_guard lock(mutex_);
    if (job.is_abandoned || progress_.is_interrupted) throw PaintingCancelled();
    if (std::exchange(progress_.is_skipped, false)) throw PicturesSkipped();
    progress_.step = step.done;
    progress_.steps = step.steps;
    wants_preview = std::exchange(wants_preview_, false);
  }
  if (!wants_preview || !step.preview) return;
  dataloader::Image preview = step.preview();
  const std::lock_guard lock(mutex_);
  progress_.preview = std::move(preview);
  ++progress_.preview_number;
}

void JobQueue::take(Job& job, PaintedPicture picture) {
  job.outcome.pictures.push_back(std::move(picture));
  const std::lock_guard lock(mutex_);
  progress_.is_skipped = false;  // asked for after the last step: too late for this one
}

void JobQueue::finish(Job& job) {
  const std::lock_guard lock(mutex_);
  if (!job.task_id.empty()) done_tasks_.push_back(job.task_id);
  if (done_tasks_.size() > kRememberedTasks) done_tasks_.pop_front();
  job.is_done = true;
  active_ = nullptr;
  progress_ = {};
  done_.notify_all();
}

JobQueue::Progress JobQueue::progress(bool with_preview) {
  const std::lock_guard lock(mutex_);
  wants_preview_ = wants_preview_ || with_preview;
  Progress progress = progress_;
  if (!with_preview) progress.preview.reset();
  progress.waiting = waiting_.size();
  if (progress.is_active) {
    progress.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - began_).count();
  }
  return progress;
}

JobQueue::TaskState JobQueue::task_state(const std::string& task_id) const {
  const std::lock_guard lock(mutex_);
  if (task_id.empty()) return TaskState::kUnknown;
  if (active_ && active_->task_id == task_id) return TaskState::kActive;
  if (std::ranges::any_of(waiting_, [&](const auto& job) { return job->task_id == task_id; })) {
    return TaskState::kWaiting;
  }
  return std::ranges::find(done_tasks_, task_id) == done_tasks_.end() ? TaskState::kUnknown
                                                                      : TaskState::kDone;
}

void JobQueue::interrupt() {
  const std::lock_guard lock(mutex_);
  progress_.is_interrupted = progress_.is_active;
}

void JobQueue::skip() {
  const std::lock_guard lock(mutex_);
  progress_.is_skipped = progress_.is_active;
}

void JobQueue::close() {
  const std::lock_guard lock(mutex_);
  is_closed_ = true;
  for (const std::shared_ptr<Job>& job : waiting_) {
    job->failure = std::make_exception_ptr(closing());
    job->is_done = true;
  }
  waiting_.clear();
  done_.notify_all();
}

}  // namespace crescendo::pipelines
