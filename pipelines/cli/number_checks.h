#pragma once

namespace CLI {
class Validator;
}

namespace crescendo::cli {

// Checks of a flag's number. CLI11's own name 1.8e308 as the largest that they take, and take nan.

CLI::Validator positive();
CLI::Validator non_negative();

}  // namespace crescendo::cli
