#include <stdexcept>

#include <gtest/gtest.h>

#include "core/log.h"
#include "pipelines/distributed/ranks.h"
#include "tests/pipelines/distributed/ranks_of_test.h"

namespace crescendo::pipelines {

namespace {

Communicator* joined = nullptr;

}  // namespace

Communicator& ranks_of_test() { return *joined; }

}  // namespace crescendo::pipelines

/// Every rank runs every test: their collective calls meet.
int main(int argc, char** argv) {
  testing::InitGoogleTest(&argc, argv);
  crescendo::log::start(false);
  int failures = 0;
  crescendo::pipelines::run_on_ranks([&](crescendo::pipelines::Communicator& ranks) {
    crescendo::pipelines::joined = &ranks;
    failures = RUN_ALL_TESTS();
  });
  return failures;
}
