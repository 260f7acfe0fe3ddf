#include "bench/operator_times.h"

#include <memory>
#include <vector>

#include <ATen/record_function.h>

#include "core/stopwatch.h"

namespace {

struct Call {
  crescendo::Stopwatch began{};
  double inner = 0;  ///< seconds of what it called
};

// A callback of ATen is a plain function.
thread_local std::vector<Call> calls;
thread_local std::map<std::string, double> times;

std::unique_ptr<at::ObserverContext> begin(const at::RecordFunction& /*function*/) {
  calls.emplace_back();
  return nullptr;
}

void end(const at::RecordFunction& function, at::ObserverContext* /*context*/) {
  const double seconds = calls.back().began.seconds();
  times[function.name()] += seconds - calls.back().inner;
  calls.pop_back();
  if (!calls.empty()) calls.back().inner += seconds;
}

}  // namespace

std::map<std::string, double> operator_times(const std::function<void()>& work) {
  times.clear();
  const at::CallbackHandle handle = at::addThreadLocalCallback(
      at::RecordFunctionCallback(begin, end)
          .scopes({at::RecordScope::FUNCTION, at::RecordScope::BACKWARD_FUNCTION}));
  work();
  at::removeCallback(handle);
  return times;
}
