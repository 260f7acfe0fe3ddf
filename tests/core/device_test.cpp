#include "core/device.h"

#include <gtest/gtest.h>

#include "tests/core/error_text.h"

namespace crescendo {

namespace {

TEST(SelectDeviceTest, ReadsNames) {
  EXPECT_EQ(select_device("cpu"), c10::Device(c10::kCPU));
  EXPECT_NO_THROW(select_device("auto"));
}

TEST(SelectDeviceTest, RejectsAnUnknownName) {
  for (const char* name : {"gpu", "", "cuda:", "cuda:x", "CPU"}) {
    EXPECT_EQ(error_text([&] { select_device(name); }),
              std::string("device '") + name + "' is unknown; expected auto, cpu, cuda or cuda:N");
  }
}

TEST(SelectDeviceTest, SaysWhyCudaCannotBeUsed) {
  const std::string message = error_text([] { select_device("cuda:9"); });
  EXPECT_TRUE(message.starts_with("device 'cuda:9' cannot be used: ")) << message;
}

}  // namespace

}  // namespace crescendo
