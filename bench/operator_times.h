#pragma once

#include <functional>
#include <map>
#include <string>

/// The seconds that `work` spends in each operator of ATen, and in each node of a backward pass,
/// that this thread calls, without those of what it calls in turn.
std::map<std::string, double> operator_times(const std::function<void()>& work);
