// Serves pictures of one colour, in slow steps, for the test of the page in a browser: prints its
// address, and ends with its standard input.
//
//     serve_test_painter CONDITIONING [TOKEN]

#include <iostream>
#include <string>
#include <thread>

#include <fmt/format.h>

#include "tests/pipelines/serving/served.h"

int main(int argc, char** argv) {
  crescendo::pipelines::Served served({.token = argc > 2 ? argv[2] : ""},
                                      argc > 1 ? argv[1] : "text");
  served.painter.set_step_time(std::chrono::milliseconds(60));
  std::cout << served.server.url() << std::endl;
  std::string line;
  while (std::getline(std::cin, line)) {
  }
}
